/** Certificates as they exist in the field, imported and preloaded: all are published, and openssl verifies the exports. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { outputOf } from '../../support/command.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import {
  before1970,
  crossSigned,
  labelledAsCertificate,
  otherName,
  trusted,
  universalString,
} from '../../support/x509/found-certificates.ts';
import { makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('certificates of the field on a bus');
const found = {
  before1970,
  crossSigned,
  labelledAsCertificate,
  otherName,
  trusted,
  universalString,
};
const manager = 'org.freedesktop.DBus.ObjectManager';

test('are imported as they are preloaded, and none hides another', async () => {
  await using rig = await Rig.start();
  const settings: Record<string, unknown> = { trust_bundle: Object.keys(found) };
  for (const [name, pem] of Object.entries(found)) {
    const path = join(rig.directory, 'secrets', `${name}.cer`);
    // as a tool on Windows writes it
    await writeFile(path, Buffer.from(`\uFEFF${pem.replaceAll('\n', '\r\n')}`, 'utf16le'));
    settings[`preloaded_cert:${name}`] = path;
  }
  await rig.configure('certificates', settings);
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  for (const [name, pem] of Object.entries(found)) {
    const data = Buffer.from(`\uFEFF${pem}`);
    await certificates.ImportCertificate({ certificate_id: `${name}-in`, data, format: 'pem' });
    const shown = await Promise.all(
      [name, `${name}-in`].map((id) => certificates.GetCertificate({ certificate_id: id })),
    );
    const [preloaded, imported] = shown.map(({ certificate }) => certificate);
    assert.equal(preloaded, imported, name);
    assert.is(imported?.renew_at, 0n);
  }
  await rig.stop('certificates');
  const { json } = await certificates.Describe({});
  const { objects, health } = JSON.parse(json) as {
    readonly objects: Readonly<Record<string, { readonly State: string }>>;
    readonly health: string;
  };
  assert.is(Object.keys(objects).length, 3 + 2 * Object.keys(found).length);
  assert.equal([...new Set(Object.values(objects).map(({ State }) => State))], ['valid']);
  assert.is(health, 'ok');
  assert.match(json, '"SubjectAlternativeNames":["dns:edge-1.example"]');
  assert.match(json, '"Subject":"CN=edge-universal"');
  const { busName: destination, path } = certificatesService;
  const call = { destination, path, interface: manager, member: 'GetManagedObjects' };
  const [managed] = await bus.call(call);
  assert.is(Object.keys(managed as object).length, Object.keys(objects).length);
  const bundle = (await certificates.GetTrustBundle({})).pem;
  using files = new Workspace();
  const printed = openssl('storeutl', '-noout', '-certs', files.write('bundle.pem', bundle));
  // the roots of both chains are one certificate
  assert.match(printed, 'Total found: 8');
  const refused = Buffer.from(before1970.replace('MII', 'M%I'));
  const request = { certificate_id: 'broken', data: refused, format: 'pem' };
  assert.is(await failureOf(certificates.ImportCertificate(request)), 'InvalidArgs');
  assert.is(await failureOf(certificates.GetCertificate({ certificate_id: 'broken' })), 'NotFound');
});

test('are issued by an RSA CA of 3072 bits with SHA-384, with the normalized key', async () => {
  const grants = [
    {
      user: 'iotedge-certificates',
      actions: ['org.iotedge.keys1.sign'],
      match: { key_id: 'device-ca-2' },
    },
  ];
  await using rig = await Rig.start({ settings: { keys: { grants } } });
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  using files = new Workspace();
  const key = makeKey('rsa-3072');
  const keyPath = files.write('ca.key', String(key.export({ format: 'pem', type: 'pkcs8' })));
  const root = openssl(
    'req',
    '-new',
    '-x509',
    '-key',
    keyPath,
    '-subj',
    '/CN=big',
    '-addext',
    'keyUsage=critical,keyCertSign',
  );
  const material = key.export({ format: 'der', type: 'pkcs8' });
  const imported = { format: 'pkcs8', material, algorithm: '', usages: [] };
  await keys.ImportKey({ ...imported, key_id: 'device-ca-2', options: { store: 'file' } });
  const data = Buffer.from(root);
  await certificates.ImportCertificate({ certificate_id: 'big', data, format: 'pem' });
  const leafKey = files.write(
    'leaf.key',
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-param_enc', 'explicit'),
  );
  const csr = openssl('req', '-new', '-key', leafKey, '-subj', '/CN=sensor');
  const parameters = openssl('ecparam', '-name', 'prime256v1');
  const { chain_pem: chain } = await certificates.Issue({
    certificate_id: 'sensor',
    csr: Buffer.from(parameters + csr),
    options: { issuer: 'big' },
  });
  const [rootPath, chainPath] = [files.write('root.pem', root), files.write('chain.pem', chain)];
  const strict = ['-x509_strict', '-CAfile', rootPath, chainPath];
  assert.match(String(await outputOf('openssl', ['verify', ...strict])), ': OK');
  const text = openssl('x509', '-in', chainPath, '-noout', '-text');
  assert.match(text, 'Signature Algorithm: sha384WithRSAEncryption');
  assert.match(text, 'ASN1 OID: prime256v1');
});

test.run();
