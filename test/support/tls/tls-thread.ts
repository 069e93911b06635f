import { runAsTlsWorker } from '../../../src/https/https-client.ts';

/** The first statement of a service's main.ts; tests pass this file as the script of the TLS thread. */
if (!runAsTlsWorker()) throw new Error('this file is for the TLS thread');
