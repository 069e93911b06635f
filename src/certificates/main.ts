import { certificatesService } from '../interfaces/certificates.ts';
import { main } from '../service/run.ts';
import { certificatesSchema, parseCertificatesConfig } from './config/config.ts';
import { startCertificates } from './start.ts';

void main({
  service: certificatesService,
  schema: certificatesSchema,
  parse: parseCertificatesConfig,
  unconfined: ['private_network'],
  start: startCertificates,
});
