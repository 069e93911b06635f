import { HttpsClient } from '../https/https-client.ts';
import { identityService } from '../interfaces/identity.ts';
import { main } from '../service/run.ts';
import { identitySchema, parseIdentityConfig } from './config/config.ts';
import { startIdentity } from './start.ts';

void main({
  service: identityService,
  schema: identitySchema,
  parse: parseIdentityConfig,
  unconfined: ['private_network'],
  start: (context) => startIdentity(context, context.cleanup.use(new HttpsClient())),
});
