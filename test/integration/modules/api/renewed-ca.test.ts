/** The workload CA, the CA of the device and the root that modules trust are replaced while modules run. */
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../../src/interfaces/certificates.ts';
import { untilFound } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import {
  type CertificateProfile,
  ThrowAwayAuthority,
} from '../../../support/polkit/throw-away-authority.ts';
import { requestOn, version } from '../../../support/workload/api.ts';
import { openssl } from '../../../support/x509/openssl.ts';

const test = suite<{ device: ModulesRig }>('a renewed CA');
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image: ModulesRig.image, createOptions } };
const certificate_id = 'iotedge/workload-ca';

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

type Chain = readonly X509Certificate[];

async function certificatesAt(device: ModulesRig, method: string, path: string): Promise<Chain> {
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/workload.sock');
  const { status, json } = await requestOn(socket, method, `${path}?${version}`);
  assert.ok(status < 300, `${path}: ${status}`);
  return certificatesIn(String(json['certificate']));
}

function certificatesIn(pem: string): Chain {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

const issue = ['POST', '/modules/%24edgeAgent/certificate/identity'] as const;
const bundle = ['GET', '/trust-bundle'] as const;

/** The chain of a module's certificate, once a CA has issued it that fits. */
function issuedBy(device: ModulesRig, fits: (ca: X509Certificate | undefined) => boolean) {
  return untilFound(30_000, 'a certificate of another CA', async () => {
    const chain = await certificatesAt(device, ...issue);
    return fits(chain[1]) ? chain : undefined;
  });
}

const isWorkloadCa = (ca: X509Certificate | undefined): boolean =>
  ca?.subject === `CN=${certificate_id}`;

const print = ({ fingerprint256 }: X509Certificate): string => fingerprint256;

/** Whether openssl accepts a chain below these roots alone. */
async function isTrusted(
  device: ModulesRig,
  [leaf, ...above]: Chain,
  roots: Chain,
): Promise<boolean> {
  const names = ['leaf', 'above', 'roots'].map((name) => join(device.rig.directory, `${name}.pem`));
  const [leafFile = '', aboveFile = '', rootsFile = ''] = names;
  await writeFile(leafFile, String(leaf));
  await writeFile(aboveFile, above.join('\n'));
  await writeFile(rootsFile, roots.join('\n'));
  const to = ['-no-CApath', '-no-CAstore', '-CAfile', rootsFile, '-untrusted', aboveFile, leafFile];
  try {
    const strict = ['-x509_strict', '-purpose', 'sslclient'];
    return openssl('verify', ...strict, ...to).includes(': OK');
  } catch {
    return false; // the exit code of a chain that is not accepted
  }
}

async function certificates(device: ModulesRig) {
  const bus = await device.rig.connect();
  return Object.assign(client(bus, certificatesService, certificatesInterface), {
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  });
}

/** Replaces the device CA, whose key and name stay, and the root that modules trust. */
async function replaceDeviceCa(
  device: ModulesRig,
  profile: CertificateProfile,
): Promise<X509Certificate> {
  const { rig } = device;
  const other = await ThrowAwayAuthority.create(join(rig.directory, `authority-of-${profile}`));
  const [ca] = certificatesIn(await readFile(join(rig.directory, 'secrets/device-ca.cer'), 'utf8'));
  const name = ca?.subject.replace(/^CN=/, '') ?? '';
  const pem = await other.certify(name, await rig.token.publicKey('device ca'), profile);
  await writeFile(join(rig.directory, 'secrets/device-ca.cer'), pem);
  await writeFile(join(rig.directory, 'secrets/trusted-ca.cer'), await other.certificate());
  return new X509Certificate(await other.certificate());
}

async function rootOf(device: ModulesRig): Promise<X509Certificate> {
  return new X509Certificate(await device.rig.authority.certificate());
}

test('issues the certificates of modules when it is the workload CA, enrolled after the start', async ({
  device,
}) => {
  await using service = await certificates(device);
  const read = () => service.GetCertificate({ certificate_id }).catch(() => undefined);
  const { certificate } = await untilFound(30_000, 'the workload CA', read);
  const chain = await certificatesAt(device, ...issue);
  const root = await rootOf(device);
  assert.equal(chain.map(({ subject }) => subject).slice(0, 2), [
    'CN=$edgeAgent',
    `CN=${certificate_id}`,
  ]);
  assert.is(chain.length, 3);
  assert.ok(await isTrusted(device, chain, [root]));
  assert.is(certificate.key_id, `iotedge/certificate/${certificate_id}`);
  const life = Number((certificate.not_after - certificate.not_before) / 86_400_000_000n);
  assert.ok(life > 28 && life <= 30, 'as long as that of the device CA');
});

test('issues from the next request on when it is the workload CA, and those of the one before are trusted', async ({
  device,
}) => {
  const before = await certificatesAt(device, ...issue);
  const { StartedAt } = await device.module('edgeAgent');
  await using service = await certificates(device);
  await service.Renew({ certificate_id });
  const after = await certificatesAt(device, ...issue);
  assert.ok(isWorkloadCa(after[1]));
  assert.is.not(after[1] && print(after[1]), before[1] && print(before[1]));
  const roots = await certificatesAt(device, ...bundle);
  // with an intermediate in its store OpenSSL would look for the device CA only there
  assert.equal(roots.map(print), [print(await rootOf(device))]);
  for (const chain of [before, after]) assert.ok(await isTrusted(device, chain, roots));
  assert.is((await device.module('edgeAgent'))['StartedAt'], StartedAt);
});

test('is served by the next request, beside the one before it, and nothing restarts', async ({
  device,
}) => {
  const before = await certificatesAt(device, ...issue);
  const former = await rootOf(device);
  const { StartedAt } = await device.module('edgeAgent');
  const current = await replaceDeviceCa(device, 'device-ca');

  const after = await certificatesAt(device, ...issue);
  assert.not.ok(isWorkloadCa(after[1]), 'that of the former device CA');
  const roots = await certificatesAt(device, ...bundle);
  assert.equal(roots.map(print), [current, former].map(print));
  assert.ok(await isTrusted(device, before, roots));
  assert.ok(await isTrusted(device, after, [current]));
  assert.not.ok(await isTrusted(device, before, [current]));
  const later = await issuedBy(device, isWorkloadCa);
  assert.ok(await isTrusted(device, later, [current]));

  await device.rig.stop('modules');
  await device.agentRuns();
  const restored = await certificatesAt(device, ...bundle);
  assert.equal(restored.map(print), roots.map(print));
  assert.ok(isWorkloadCa((await certificatesAt(device, ...issue))[1]));
  assert.is((await device.module('edgeAgent'))['StartedAt'], StartedAt);
});

test('issues the certificates of modules itself when it allows no CA below it, which is logged once', async ({
  device,
}) => {
  const current = await replaceDeviceCa(device, 'device-ca-of-leaves');
  for (let requests = 0; requests < 3; requests++) {
    const chain = await certificatesAt(device, ...issue);
    assert.is(chain.length, 2);
    assert.ok(await isTrusted(device, chain, [current]));
  }
  const why = /certificates of modules issued by the device CA.*path length/g;
  // the records of a service that has just started are written together, after its first replies
  const reasons = await untilFound(10_000, 'the reason in the log', async () => {
    return (await device.rig.log('modules')).match(why) ?? undefined;
  });
  assert.is(reasons.length, 1);
});

test.run();
