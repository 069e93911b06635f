/** The key of a certificate on the bus, from the first read on and while keys are created, moved and deleted. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { localSigner } from '../../../src/x509/algorithm.ts';
import { parseCertificate } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('the key of a certificate');
const waitMs = 20_000;

/** A certificate for a public key of the Keys service. */
async function certify(spki: Buffer): Promise<Buffer> {
  const key = makeKey('ec-p256');
  const ca = await makeCa({ name: 'CN=ca', key });
  const content = {
    subjectDer: encodeName(parseName('CN=site')),
    spki,
    validity: { notBefore: ca.notBefore, notAfter: ca.notAfter },
    extensions: [],
  };
  return parseCertificate(await buildCertificate(content, ca, localSigner(key)), 'it').der;
}

test('is announced when it is moved, deleted and imported again', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  const pair = { key_id: 'first', algorithms: ['ec-p256'], usages: [] };
  await keys.CreateKeyPair({ ...pair, options: { store: 'file', exportable: true } });
  const { spki } = await keys.GetPublicKey({ key_id: 'first' });
  const request = { certificate_id: 'site', data: await certify(spki), format: 'der' };
  const { certificate: path } = await certificates.ImportCertificate(request);
  let announced: unknown;
  await using _changes = await bus.subscribe(
    { sender: certificatesService.busName, path, member: 'PropertiesChanged' },
    ({ body: [, changed] }) => {
      const keyId = new Map(Object.entries(changed as Readonly<Record<string, unknown>>)).get(
        'KeyId',
      );
      if (keyId instanceof Variant) announced = keyId.value;
    },
  );
  const last = (id: string): boolean => announced === id;
  const shown = async (): Promise<string> => {
    const [value] = await bus.call({
      destination: certificatesService.busName,
      path,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'Get',
      signature: 'ss',
      body: [`${certificatesInterface.name}.Certificate`, 'KeyId'],
    });
    return JSON.stringify(value);
  };
  await certificates.GetCertificate({ certificate_id: 'site' });
  assert.match(await shown(), '"first"');
  const { material } = await keys.ExportKey({ key_id: 'first', format: 'pkcs8' });
  const imported = { format: 'pkcs8', material, algorithm: '', usages: [] };
  const elsewhere = { store: 'file', exportable: true };
  await keys.ImportKey({ ...imported, key_id: 'second', options: elsewhere });
  await keys.DeleteKey({ key_id: 'first' });
  await until(waitMs, 'the new id', () => last('second'));
  assert.match(await shown(), '"second"');
  await keys.DeleteKey({ key_id: 'second' });
  await until(waitMs, 'no id', () => last(''));
  assert.match(await shown(), '""');
  await keys.ImportKey({ ...imported, key_id: 'third', options: elsewhere });
  await until(waitMs, 'the id of the imported key', () => last('third'));
  assert.match(await shown(), '"third"');
});

test('is found by one form of its public half, whatever the form in the key file and the certificate', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  using files = new Workspace();
  const forms = [
    ['-param_enc', 'explicit'],
    ['-conv_form', 'compressed'],
  ];
  for (const [at, form] of forms.entries()) {
    const pem = openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', ...form);
    const path = files.write('key.pem', pem);
    const pkcs8 = openssl('pkcs8', '-topk8', '-nocrypt', '-in', path);
    const material = Buffer.from(pkcs8.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const key = { key_id: `key-${at}`, format: 'pkcs8', material, algorithm: '', usages: [] };
    await keys.ImportKey({ ...key, options: { store: 'file' } });
    const data = Buffer.from(openssl('req', '-new', '-x509', '-key', path, '-subj', '/CN=odd'));
    const request = { certificate_id: `site-${at}`, data, format: 'pem' };
    await certificates.ImportCertificate(request);
    const { certificate } = await certificates.GetCertificate({ certificate_id: `site-${at}` });
    assert.is(certificate.key_id, `key-${at}`, form.join(' '));
  }
});

test('is correct on the first read of a property, and after both services exited on idle', async () => {
  await using rig = await Rig.start();
  const property = async (id: string): Promise<string> => {
    const object = `${certificatesService.path}/certificate/${id}`;
    const name = `${certificatesInterface.name}.Certificate`;
    const words = ['get-property', certificatesService.busName, object, name, 'KeyId'];
    return (await rig.busctl(words, 'alice')).stdout.trim();
  };
  assert.is(await property('device_2dca'), 's "device-ca"');
  await rig.stop('certificates');
  await rig.stop('keys');
  assert.is(await property('device_2did'), 's "device-id"');
});

test.run();
