/**
 * The cloud double as a separate process, for the demonstration.
 * usage: main.js KEY CERTIFICATE CLIENT_ROOTS SCOPE_ID REGISTRATION_ID    files are PEM
 * Prints one line of JSON, {"endpoint": …}, and serves until it is stopped by a signal.
 */
import { readFile } from 'node:fs/promises';
import { Cloud } from './cloud.ts';

async function main(args: readonly string[]): Promise<void> {
  const [key = '', certificate = '', clientRoots = '', scopeId = '', registrationId = ''] = args;
  const cloud = await Cloud.start({
    key: await readFile(key, 'utf8'),
    certificate: await readFile(certificate, 'utf8'),
    clientRoots: await readFile(clientRoots, 'utf8'),
    scopeId,
    enrollments: new Map([[registrationId, { deviceId: registrationId }]]),
  });
  console.log(JSON.stringify({ endpoint: cloud.endpoint }));
}

void main(process.argv.slice(2));
