import { identityService } from '../interfaces/identity.ts';
import { HttpsClient, runAsTlsWorker } from '../service/https.ts';
import { main } from '../service/run.ts';
import { identitySchema, parseIdentityConfig } from './config.ts';
import { startIdentity } from './service.ts';

if (!runAsTlsWorker()) {
  void main({
    service: identityService,
    schema: identitySchema,
    parse: parseIdentityConfig,
    start: (context) => startIdentity(context, context.cleanup.use(HttpsClient.start())),
  });
}
