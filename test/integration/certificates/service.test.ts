import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client, onSignal } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  encodeCertificatesPem,
  isIssuedBy,
  parseCertificatesPem,
} from '../../../src/x509/certificate.ts';
import { buildCsr } from '../../../src/x509/csr.ts';
import { subjectAlternativeName } from '../../../src/x509/extensions.ts';
import { parseName } from '../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('the certificates service on a bus');

const certificatesOf = (bus: Bus): Client<typeof certificatesInterface> =>
  client(bus, certificatesService, certificatesInterface);

/** A request for `CN=web` with the name `web`. */
async function webRequest(): Promise<Buffer> {
  const key = makeKey('ec-p256');
  return buildCsr({
    subject: parseName('CN=web'),
    spki: spkiOf(key),
    extensions: [subjectAlternativeName([parseAlternativeName('dns', 'web')])],
    signer: localSigner(key),
  });
}

test('imports, announces, exports and deletes, and restores its state after a restart', async () => {
  await using rig = await Rig.start({
    settings: { certificates: { trust_bundle: ['site-root'] } },
  });
  await using bus = await rig.connect();
  const certificates = certificatesOf(bus);
  const root = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  let changes = 0;
  await using _changed = await onSignal(bus, certificatesService, {
    definition: certificatesInterface,
    member: 'TrustBundleChanged',
    listener: () => void changes++,
  });
  const request = { certificate_id: 'site-root', data: root.der, format: 'der' };
  const { certificate: object } = await certificates.ImportCertificate(request);
  assert.is(object, `${certificatesService.path}/certificate/site_2droot`);
  await until(5000, 'the signal', () => changes === 1);
  assert.is(await failureOf(certificates.ImportCertificate(request)), 'AlreadyExists');
  await certificates.ImportCertificate({
    ...request,
    options: { if_exists: 'replace', key_id: 'root' },
  });
  await rig.stop('certificates');
  assert.is((await certificates.GetTrustBundle({})).pem, encodeCertificatesPem([root]));
  const { certificate } = await certificates.GetCertificate({ certificate_id: 'site-root' });
  assert.is(certificate.key_id, 'root');
  const format = { certificate_id: 'site-root', format: 'der' };
  assert.equal((await certificates.ExportCertificate(format)).data, root.der);
  const { json } = await certificates.Describe({});
  assert.match(json, root.fingerprint);
  await certificates.DeleteCertificate({ certificate_id: 'site-root' });
  assert.is(await failureOf(certificates.ExportCertificate(format)), 'NotFound');
  await rig.stop('certificates');
  assert.is(await failureOf(certificates.ExportCertificate(format)), 'NotFound');
});

test('issues with a preloaded CA whose key it finds by its public half', async () => {
  await using rig = await Rig.start();
  const file = join(rig.directory, 'secrets', 'device-ca.cer');
  await rig.configure('certificates', { 'preloaded_cert:factory-ca': file });
  await using bus = await rig.connect();
  // the key under the certificate's id is another one
  const keys = client(bus, keysService, keysInterface);
  const pair = { key_id: 'factory-ca', algorithms: ['ec-p256'], usages: [] };
  await keys.CreateKeyPair({ ...pair, options: { store: 'file' } });
  const certificates = certificatesOf(bus);
  const held = await certificates.GetCertificate({ certificate_id: 'factory-ca' });
  assert.is(held.certificate.key_id, 'device-ca');
  const csr = await webRequest();
  const { chain_pem } = await certificates.Issue({
    certificate_id: 'iotedge/module/web:server',
    csr,
    options: { issuer: 'factory-ca', profile: 'server' },
  });
  const [leaf, issuer] = parseCertificatesPem(Buffer.from(chain_pem), 'chain');
  const rootPem = Buffer.from(await rig.authority.certificate());
  const [root] = parseCertificatesPem(rootPem, 'root');
  assert.ok(leaf && issuer && root && isIssuedBy(leaf, issuer) && isIssuedBy(issuer, root));
  assert.equal(leaf.alternativeNames, ['dns:web']);
  const more = { certificate_id: 'web', csr, options: { issuer: 'factory-ca' } };
  assert.is(await failureOf(certificates.Issue(more)), 'InvalidArgs');
  await keys.DeleteKey({ key_id: 'factory-ca' });
});

test('issues nothing with a key that is not the one of the CA certificate', async () => {
  await using rig = await Rig.start();
  const other = await rig.authority.certify(
    'Other CA',
    await rig.token.publicKey('device id'),
    'device-ca',
  );
  await writeFile(join(rig.directory, 'secrets', 'device-ca.cer'), other);
  await rig.configure('certificates', { issuers: { 'device-ca': { key_id: 'device-ca' } } });
  await using bus = await rig.connect();
  const request = { certificate_id: 'iotedge/module/web:server', csr: await webRequest() };
  assert.is(await failureOf(certificatesOf(bus).Issue(request)), 'NotFound');
});

test('exits with 78 for an invalid configuration and touches nothing', async () => {
  await using rig = await Rig.start();
  await rig.configure('certificates', { certificates: { a: { method: 'local-ca' } } });
  const { code } = await rig.run('sh', [rig.launcher('certificates')]);
  assert.is(code, 78);
  assert.match(await rig.log('certificates'), '50-rig.yaml:4');
  const { stdout } = await rig.run('ls', ['-A', rig.stateDirectory('certificates')]);
  assert.is(stdout, '');
});

test.run();
