/** The file of iotedge-keys. */
import { join } from 'node:path';
import { startEarlyHost } from './early-host.ts';
import { launch } from './launch.ts';

startEarlyHost(join(import.meta.dirname, 'iotedge-pkcs11.cjs'), process.argv.slice(2));
launch(import.meta.filename);
