/** Certificates from an EST server, with keys of a real Keys service. */

import { createPublicKey } from 'node:crypto';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { isServiceError } from '../../../src/errors.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { buildCsr } from '../../../src/x509/csr.ts';
import { parseName } from '../../../src/x509/name.ts';
import { until } from '../../support/deadline.ts';
import { newKey } from '../../support/est/ca.ts';
import { EstCa, type IssueOptions } from '../../support/est/est-ca.ts';
import { EstServer, type SeenRequest } from '../../support/est/est-server.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('EST in the service');
const id = 'site/one';
const password = 'correct-horse-battery';

/** A device whose certificates come from a server that knows a password, and the certificates that it issued. */
async function configured(rig: Rig, ca: EstCa): Promise<EstServer> {
  const server = await EstServer.start({
    ca,
    credential: await ca.makeLeaf('server'),
    clientRoots: await ca.certificate('root'),
    basic: `edge:${password}`,
    label: 'devices',
  });
  const files = join(rig.directory, 'est');
  await mkdir(files);
  const [root, secret] = [join(files, 'root.pem'), join(files, 'password')];
  await writeFile(root, await ca.certificate('root'));
  await writeFile(secret, `${password}\n`, { mode: 0o640 });
  await chown(secret, 0, rigUsers['iotedge-certificates']);
  await rig.configure('certificates', settingsOf(rig, server, ['edge.site', 'alt.site']));
  return server;
}

function settingsOf({ directory }: Rig, { url }: EstServer, dns: readonly string[]): object {
  return {
    issuers: {
      hq: {
        method: 'est',
        url,
        label: 'other',
        trusted_ca: join(directory, 'est/root.pem'),
        username: 'edge',
        password_file: join(directory, 'est/password'),
      },
    },
    certificates: { 'site/*': { method: 'est', issuer: 'hq', label: 'devices', dns } },
  };
}

function certificatesOn(bus: Bus) {
  return client(bus, certificatesService, certificatesInterface);
}

async function current(bus: Bus): Promise<{ readonly leaf: Certificate; readonly keyId: string }> {
  const { certificate } = await certificatesOn(bus).GetCertificate({ certificate_id: id });
  const [leaf] = parseCertificatesPem(Buffer.from(certificate.chain_pem), 'it');
  if (leaf === undefined) throw new TypeError('it is empty');
  return { leaf, keyId: certificate.key_id };
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return '';
  } catch (error) {
    if (isServiceError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
}

test('enrolls with a password, renews with the certificate, and waits for a pending order', async () => {
  await using rig = await Rig.start();
  await using ca = await EstCa.create();
  await using server = await configured(rig, ca);
  await using bus = await rig.connect();
  const certificates = certificatesOn(bus);

  const issued =
    (days: number, names: IssueOptions = {}) =>
    async ({ csr = Buffer.alloc(0) }: SeenRequest) =>
      server.certificates(await ca.issue(csr, { days, ...names }));
  // a CA with its own ideas of names
  const rewritten = {
    subject: '/OU=plant/CN=site\\/one',
    extensions: 'subjectAltName=DNS:alt.site,DNS:edge.site\n',
  };
  // a certificate that lives no longer than the one it replaces is refused
  server.answers.set('simpleenroll', issued(10, rewritten));
  await certificates.Enroll({ certificate_id: id });
  const first = await current(bus);
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  assert.is(server.requests.at(-1)?.client, undefined);
  const subject = `CN=${id},OU=plant`;
  assert.equal([first.leaf.subjectText, first.leaf.issuerText], [subject, 'CN=EST issuing']);

  await certificates.Renew({ certificate_id: id });
  const second = await current(bus);
  assert.is(server.operations.at(-1), 'simplereenroll');
  assert.match(server.requests.at(-1)?.client ?? '', id);
  assert.equal(second.leaf.alternativeNames, ['dns:alt.site', 'dns:edge.site']);
  assert.is.not(second.leaf.fingerprint, first.leaf.fingerprint);
  assert.is.not(second.keyId, first.keyId);

  server.answers.set('simplereenroll', () => ({
    status: 202,
    headers: { 'retry-after': '3600' },
  }));
  assert.match(
    await codeOf(certificates.Renew({ certificate_id: id })),
    /^Unavailable: the issuer has not decided on the certificate/,
  );
  const asked = server.requests.at(-1)?.csr;
  assert.is((await current(bus)).leaf.fingerprint, second.leaf.fingerprint);
  // what it was asked for survives the process
  await rig.stop('certificates');
  server.answers.set('simplereenroll', issued(60));
  await certificates.Renew({ certificate_id: id });
  assert.equal(server.requests.at(-1)?.csr, asked, 'a pending order repeats its request');
  assert.is.not((await current(bus)).leaf.fingerprint, second.leaf.fingerprint);

  // the names of the rule change
  await rig.stop('certificates');
  await rig.configure('certificates', settingsOf(rig, server, ['edge.site']));
  server.answers.set('simpleenroll', issued(90));
  await certificates.Renew({ certificate_id: id });
  assert.is(server.operations.at(-1), 'simpleenroll');
  const { leaf: renamed } = await current(bus);
  assert.equal([renamed.subjectText, renamed.alternativeNames], [`CN=${id}`, ['dns:edge.site']]);

  // the rule is removed
  await rig.configure('certificates', { ...settingsOf(rig, server, []), certificates: {} });
  await rig.reload('certificates');
  await certificates.Renew({ certificate_id: id, options: { wait: false } });
  const reason = `no certificate "hq": certificates.yaml has no rule for "${id}", so that the CA "hq" of this device would issue it: add \`certificates: "${id}"\` with its method and issuer`;
  let lastError: unknown;
  await until(
    30_000,
    () => `the reason: ${String(lastError)}`,
    async () => {
      const { json } = await certificates.Describe({});
      const { objects } = JSON.parse(json) as {
        readonly objects: Record<string, Record<string, unknown>>;
      };
      lastError = objects[id]?.['LastError'];
      return lastError === reason;
    },
  );
  assert.match(await codeOf(certificates.Renew({ certificate_id: id })), `NotFound: ${reason}`);
  assert.is((await current(bus)).leaf.fingerprint, renamed.fingerprint);

  assert.equal(server.problems, []);
  const shown = await rig.busctl([
    'call',
    certificatesService.busName,
    certificatesService.path,
    'org.freedesktop.DBus.ObjectManager',
    'GetManagedObjects',
  ]);
  const basic = Buffer.from(`edge:${password}`).toString('base64');
  for (const text of [await rig.log('certificates'), shown.stdout.toString()]) {
    assert.ok(text.length > 0);
    assert.not(text.includes(password) || text.includes(basic), 'the password is shown');
  }
});

test('signs requests of Issue, and needs a password that only few can read', async () => {
  await using rig = await Rig.start();
  await using ca = await EstCa.create();
  await using server = await configured(rig, ca);
  await using bus = await rig.connect();
  const certificates = certificatesOn(bus);
  const key = newKey();
  const spki = spkiOf(createPublicKey(key));
  const csr = await buildCsr({ subject: parseName(`CN=${id}`), spki, signer: localSigner(key) });
  const { chain_pem: pem } = await certificates.Issue({ certificate_id: id, csr });
  assert.ok(parseCertificatesPem(Buffer.from(pem), 'it')[0]?.spki.equals(spki));
  server.answers.set('simpleenroll', () => ({ status: 202, headers: { 'retry-after': '90' } }));
  assert.match(await codeOf(certificates.Issue({ certificate_id: id, csr })), 'ask again in 90 s');

  const secret = join(rig.directory, 'est/password');
  await writeFile(secret, await readFile(secret));
  await rig.run('chmod', ['o+r', secret]);
  const count = server.requests.length;
  assert.match(
    await codeOf(certificates.Enroll({ certificate_id: id })),
    'can be read or changed by everybody: chmod o-rw',
  );
  assert.is(server.requests.length, count);
});

test.run();
