/** Certificates in files that identity.yaml names: the device certificate, and the roots of the cloud. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { deviceCertificateFile } from '../../support/tls/device-certificate.ts';

const patient = { timeoutMs: 60_000 };
const test = suite<CloudDevice>('a file of certificates in identity.yaml');

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
});
test.after(async (context) => context[Symbol.asyncDispose]());

const rootFile = ({ rig }: CloudDevice): string => join(rig.directory, 'secrets', 'cloud-root');
const ownFile = ({ rig }: CloudDevice): string => join(rig.directory, 'secrets', 'own.cer');

async function configure(setting: CloudDevice, attestation: object = {}): Promise<void> {
  const { rig, cloud } = setting;
  await rig.configure('identity', {
    provisioning: { global_endpoint: cloud.endpoint, attestation },
    cloud: { trusted_ca: [rootFile(setting)] },
  });
  await rig.stop('identity');
}

async function failure({ identity }: CloudDevice): Promise<string> {
  const outcome: unknown = await identity.Reprovision({}, patient).catch((one: unknown) => one);
  assert.ok(isServiceError(outcome, 'Unavailable'), String(outcome));
  return outcome.message;
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
}

test('contains the roots of the cloud in PEM, in DER, and with a byte order mark', async (setting) => {
  const { rig, identity } = setting;
  const pem = await rig.authority.certificate();
  await configure(setting);
  for (const content of [pem, derOf(pem), `\ufeff${pem}`, `text before\r\n${pem}`]) {
    await writeFile(rootFile(setting), content);
    await rig.stop('identity'); // existing connections would hide it
    const { device } = await identity.Reprovision({}, patient);
    assert.is(device.device_id, deviceName);
  }
});

test('is reported with the reason when it does not contain the root of the cloud', async (setting) => {
  const { rig, identity } = setting;
  const pem = await rig.authority.certificate();
  await configure(setting);
  const halves = [pem.slice(0, pem.length / 2), derOf(pem).subarray(0, 200)];
  for (const content of ['', 'no certificate', ...halves, `${pem}${pem.replace('M', '!')}`]) {
    await writeFile(rootFile(setting), content);
    const message = await failure(setting);
    assert.match(message, `cloud.trusted_ca: ${rootFile(setting)}`);
    assert.match(message, /is empty|neither PEM|PEM block|base64|no certificate|not end/);
  }
  await rm(rootFile(setting));
  assert.match(await failure(setting), /cloud\.trusted_ca: ENOENT.*cloud-root/);
  await writeFile(rootFile(setting), pem);
  await identity.Reprovision({}, patient);
});

test('contains the certificate of the device, read again for each request', async (setting) => {
  const { rig, identity } = setting;
  const pem = await readFile(deviceCertificateFile(rig));
  await writeFile(rootFile(setting), await rig.authority.certificate());
  await writeFile(ownFile(setting), derOf(pem.toString()));
  await configure(setting, { identity_cert: `file://${ownFile(setting)}` });
  const { device } = await identity.Provision({}, patient);
  assert.equal([device.device_id, device.auth], [deviceName, 'x509']);
  assert.equal([device.certificate_id, device.key_id], ['', 'device-id']);
  await writeFile(ownFile(setting), pem.subarray(0, pem.length / 2));
  assert.match(await failure(setting), `identity_cert: ${ownFile(setting)}`);
  await rm(ownFile(setting));
  assert.match(await failure(setting), /identity_cert: ENOENT.*own\.cer/);
  await writeFile(ownFile(setting), pem);
  await identity.Reprovision({}, patient);
  // the key does not sign for a certificate of another key
  await writeFile(ownFile(setting), await rig.authority.certificate());
  await failure(setting);
});

test.run();
