import { runAsTlsWorker } from '../../../src/https/https-client.ts';

/** What a service's main.ts does first; tests name this file as the one that the TLS thread runs. */
if (!runAsTlsWorker()) throw new Error('this file is for the TLS thread');
