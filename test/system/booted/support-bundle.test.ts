import { bootedSuite } from '../../support/boot/booted-suite.ts';
import { until } from '../../support/deadline.ts';
import { unzipped } from '../../support/zip/unzipped.ts';

const test = bootedSuite('support bundle of an installed system');
const management = '/var/lib/iotedge/mgmt.sock';

/** Prints a bundle in base64. */
const client = `
const [socketPath] = process.argv.slice(1);
const path = '/systeminfo/supportbundle?api-version=2022-08-03';
require('node:http').get({ socketPath, path }, (response) => {
  const chunks = [];
  response.on('data', (chunk) => chunks.push(chunk));
  response.on('end', () => process.stdout.write(Buffer.concat(chunks).toString('base64')));
});
`;

test('has the journal of the units, which a group of the service lets it read', async (system) => {
  await system.output(['systemctl', 'start', 'iotedge-modules-management.socket']);
  await system.output(['systemctl', 'start', 'iotedge-keys.service', 'iotedge-modules.service']);
  const command = ['/usr/lib/iotedge/bin/node', '-e', client, management];
  await until(30_000, 'records of both', async () => {
    const files = await unzipped(Buffer.from(await system.output(command), 'base64'));
    return ['iotedge-keys', 'iotedge-modules'].every((unit) =>
      (files[`logs/${unit}.txt`] ?? '').includes(`${unit}[`),
    );
  });
});

test.run();
