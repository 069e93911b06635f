/** The identities and the password of an EST client in the service, and orders that are bound to their connection. */
import { createPrivateKey } from 'node:crypto';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { localSigner } from '../../../src/x509/algorithm.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { parseCsr, requestInfoParts } from '../../../src/x509/csr.ts';
import { encode } from '../../../src/x509/der/asn1.ts';
import { encodePem } from '../../../src/x509/pem.ts';
import { until } from '../../support/deadline.ts';
import { challengePasswordIn } from '../../support/est/challenge-password.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { EstServer, type SeenRequest } from '../../support/est/est-server.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('EST identities in the service');
const directories: string[] = [];

test.after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true });
});

/** A certificate that is valid for less time than `openssl` can say; PEM. */
async function issueUntil(ca: EstCa, csr: Buffer, notAfter: Date): Promise<string> {
  const { subjectDer, spki } = parseCsr(csr);
  const [issuer] = parseCertificatesPem(Buffer.from(await ca.certificate('issuing')), 'issuing');
  if (issuer === undefined) throw new TypeError('it is empty');
  const key = createPrivateKey(await readFile(join(ca.directory, 'issuing.key')));
  const notBefore = new Date(Date.now() - 3_600_000);
  const content = { subjectDer, spki, validity: { notBefore, notAfter }, extensions: [] };
  return encodePem(await buildCertificate(content, issuer, localSigner(key)), 'CERTIFICATE');
}

/** The directory of the credentials of the unit, with a password. */
async function makeCredentials(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-credentials-'));
  directories.push(directory);
  await chmod(directory, 0o711);
  const file = join(directory, 'est-password');
  await writeFile(file, 'secret\n', { mode: 0o640 });
  await chown(file, 0, rigUsers['iotedge-certificates']);
  return directory;
}

function clientsOf({ requests }: EstServer): readonly unknown[] {
  return requests.map((one) => one.client);
}

test('enrolls by bootstrap, renews by the certificate, and by bootstrap once that has expired', async () => {
  const credentials = await makeCredentials();
  const grants = [
    {
      user: 'iotedge-certificates',
      actions: ['org.iotedge.keys1.sign'],
      match: { key_id: 'factory' },
    },
  ];
  await using rig = await Rig.start({
    settings: { keys: { grants } },
    environment: { certificates: { CREDENTIALS_DIRECTORY: credentials } },
  });
  await using ca = await EstCa.create();
  const credential = await ca.makeLeaf('server');
  const clientRoots = await ca.certificate('root');
  const options = { ca, credential, clientRoots, isCertificateRequired: true };
  await using server = await EstServer.start(options);
  await using bound = await EstServer.start({ ca, credential, wantsTlsUnique: true });
  const root = join(rig.directory, 'root.pem');
  await writeFile(root, await ca.certificate('root'));
  const est = { method: 'est', trusted_ca: root };
  await rig.configure('certificates', {
    issuers: {
      hq: { ...est, url: server.url, username: 'edge', password_file: 'est-password' },
      bound: { ...est, url: bound.url },
    },
    certificates: {
      'site/*': { method: 'est', issuer: 'hq', bootstrap: 'factory' },
      bound: { method: 'est', issuer: 'bound' },
    },
  });
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  const store = { store: 'file' };
  const asked = { key_id: 'factory', algorithms: ['ec-p256'], usages: ['sign'], options: store };
  await keys.CreateKeyPair(asked);
  const { spki } = await keys.GetPublicKey({ key_id: 'factory' });
  const chain = [
    await ca.certify(spki, { subject: '/CN=factory' }),
    await ca.certificate('issuing'),
  ];
  const data = Buffer.from(chain.join(''));
  await certificates.ImportCertificate({ certificate_id: 'factory', data, format: 'pem' });

  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }: SeenRequest) =>
    server.certificates(await ca.issue(csr, { days: 10 })),
  );
  await certificates.Enroll({ certificate_id: 'site/one' });
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  assert.equal(clientsOf(server), Array(3).fill('factory'));
  const basic = `Basic ${Buffer.from('edge:secret').toString('base64')}`;
  assert.ok(server.requests.every(({ authorization }) => authorization === basic));
  server.requests.length = 0;
  await certificates.Renew({ certificate_id: 'site/one' });
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simplereenroll']);
  assert.equal(clientsOf(server), Array(3).fill('site/one'));

  // one that expires before its renewal succeeds
  const end = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000);
  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }: SeenRequest) =>
    server.certificates(await issueUntil(ca, csr, end)),
  );
  server.answers.set('simplereenroll', () => ({ status: 503 }));
  await certificates.Enroll({ certificate_id: 'site/two' });
  // nor does the service renew it by itself
  server.answers.set('simpleenroll', () => ({ status: 503 }));

  // meanwhile an order whose request is bound to its connection, across a restart
  bound.answers.set('csrattrs', () => ({ body: 'MAsGCSqGSIb3DQEJBw==' }));
  bound.answers.set('simpleenroll', () => ({ status: 202 }));
  assert.is(await failureOf(certificates.Enroll({ certificate_id: 'bound' })), 'Unavailable');
  await rig.stop('certificates');
  const record = JSON.parse(
    await readFile(join(rig.stateDirectory('certificates'), 'certificates', 'bound.json'), 'utf8'),
  ) as { readonly order: Readonly<Record<string, string>> };
  assert.is(record.order['csr'], undefined, 'no request is kept');
  const template = Buffer.from(record.order['template'] ?? '', 'base64');
  bound.answers.delete('simpleenroll');
  await certificates.Enroll({ certificate_id: 'bound' });
  const sent = bound.requests.filter(({ csr }) => csr !== undefined);
  assert.equal(
    sent.map(({ operation, protocol }) => [operation, protocol]),
    Array(2).fill(['simpleenroll', 'TLSv1.2']),
  );
  const [first, second] = sent.flatMap(({ csr }) => csr ?? []);
  if (first === undefined || second === undefined) throw new Error('no request was sent');
  assert.is.not(challengePasswordIn(first), challengePasswordIn(second));
  const [one, two] = [parseCsr(first), parseCsr(second)];
  assert.ok(one.spki.equals(two.spki) && one.subjectDer.equals(two.subjectDer));
  assert.equal(requestInfoParts(template).map(encode).slice(1, 3), [two.subjectDer, two.spki]);
  const { certificate } = await certificates.GetCertificate({ certificate_id: 'bound' });
  const { spki: certified } = await keys.GetPublicKey({ key_id: certificate.key_id });
  assert.ok(one.spki.equals(certified));

  await until(10_000, 'the certificate to expire', () => Date.now() > end.getTime() + 1000);
  await until(10_000, 'the end of an attempt of the service itself', async () => {
    const { json } = await certificates.Describe({});
    const { objects } = JSON.parse(json) as {
      readonly objects: Readonly<Record<string, { readonly Operation: string }>>;
    };
    return objects['site/two']?.Operation === '';
  });
  server.requests.length = 0;
  server.answers.delete('simpleenroll');
  await certificates.Renew({ certificate_id: 'site/two' });
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  assert.equal(clientsOf(server), Array(3).fill('factory'));
  assert.equal([...server.problems, ...bound.problems], []);
});

test.run();
