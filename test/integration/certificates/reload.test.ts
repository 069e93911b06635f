import { copyFile, writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { suspendProcess } from '../../support/suspend-process.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('reload of the certificates service');
const waitMs = 20_000;

/** The description of a certificate; Describe triggers no read of its file or its key. */
async function shown(
  certificates: Client<typeof certificatesInterface>,
  id: string,
): Promise<Readonly<Record<string, unknown>>> {
  const { json } = await certificates.Describe({});
  const { objects } = JSON.parse(json) as { objects: Record<string, Record<string, unknown>> };
  return objects[id] ?? {};
}

test('publishes, serves and removes preloaded certificates and trust bundles according to the new configuration', async () => {
  await using rig = await Rig.start({ token: {} });
  const secrets = `${rig.directory}/secrets`;
  await copyFile(`${secrets}/trusted-ca.cer`, `${secrets}/more.cer`);
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const ids = async (): Promise<readonly string[]> => {
    const { json } = await certificates.Describe({});
    return Object.keys((JSON.parse(json) as { objects: object }).objects);
  };
  assert.is((await ids()).includes('more'), false);
  await rig.configure('certificates', {
    'preloaded_cert:more': `${secrets}/more.cer`,
    trust_bundle: ['more'],
  });
  assert.is(await rig.reload('certificates'), 'reloaded');
  assert.is((await ids()).includes('more'), true);
  await certificates.GetCertificate({ certificate_id: 'more' });
  const { pem } = await certificates.GetTrustBundle({});
  assert.is(
    pem,
    (await certificates.GetCertificate({ certificate_id: 'more' })).certificate.chain_pem,
  );
  await rig.configure('certificates', {});
  assert.is(await rig.reload('certificates'), 'reloaded');
  assert.is((await ids()).includes('more'), false);
  assert.is(await failureOf(certificates.GetCertificate({ certificate_id: 'more' })), 'NotFound');
  await rig.configure('certificates', { homedir_path: '/elsewhere' });
  assert.is(await rig.reload('certificates'), 'refused');
});

test('looks up the keys of certificates that a reload adds, without a call', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const key = makeKey('ec-p256');
  const file = `${rig.directory}/secrets/site.cer`;
  await writeFile(file, encodeCertificatesPem([await makeCa({ name: 'CN=site', key })]));
  await client(bus, keysService, keysInterface).ImportKey({
    key_id: 'of-site',
    format: 'pkcs8',
    material: key.export({ format: 'der', type: 'pkcs8' }),
    algorithm: '',
    usages: [],
    options: { store: 'file' },
  });
  await certificates.Describe({});
  await rig.configure('certificates', { 'preloaded_cert:site': file });
  assert.is(await rig.reload('certificates'), 'reloaded');
  await until(waitMs, 'the id of its key', async () => {
    return (await shown(certificates, 'site'))['KeyId'] === 'of-site';
  });
});

test('publishes the state of the new configuration over that of an older concurrent call', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const make = async (name: string): Promise<string> =>
    encodeCertificatesPem([await makeCa({ name, key: makeKey('ec-p256') })]);
  const file = `${rig.directory}/secrets/site.cer`;
  await writeFile(file, await make('CN=preloaded'));
  await client(bus, keysService, keysInterface).GetPublicKey({ key_id: 'device-id' });
  await certificates.Describe({});
  const keys = await rig.processOf('keys');
  assert.ok(keys);
  await suspendProcess(keys);
  const data = Buffer.from(await make('CN=handed-in'));
  // waits for the public half of the key
  const request = { certificate_id: 'site', data, format: 'pem', options: { key_id: 'absent' } };
  const imported = failureOf(certificates.ImportCertificate(request));
  await certificates.Describe({});
  await rig.configure('certificates', { 'preloaded_cert:site': file });
  assert.is(await rig.reload('certificates'), 'reloaded');
  assert.is((await shown(certificates, 'site'))['Subject'], 'CN=preloaded');
  process.kill(keys, 'SIGCONT');
  assert.is(await deadline(waitMs, imported, 'the import'), 'no failure');
  await until(waitMs, 'the preloaded one', async () => {
    return (await shown(certificates, 'site'))['Subject'] === 'CN=preloaded';
  });
});

test.run();
