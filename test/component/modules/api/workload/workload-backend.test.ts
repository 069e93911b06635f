import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { parseCertificateId, parseModuleName } from '../../../../../src/ids.ts';
import { failureOf } from '../../../../../src/modules/api/http/failure.ts';
import { Outage } from '../../../../../src/modules/api/workload/outage.ts';
import { TrustBundle } from '../../../../../src/modules/api/workload/trust-bundle.ts';
import {
  type BackendParts,
  workloadBackend,
} from '../../../../../src/modules/api/workload/workload-backend.ts';
import type { Clients } from '../../../../../src/modules/clients.ts';
import type { CertificateReference } from '../../../../../src/modules/config/certificate-references.ts';
import { Identities } from '../../../../../src/modules/identities.ts';
import { codeIn } from '../../../../support/failure.ts';
import { silentLog } from '../../../../support/log.ts';
import { Pki } from '../../../../support/tls/pki.ts';
import { callWithoutHold } from '../../../../support/workload/no-hold.ts';

const test = suite<{ pki: Pki }>('workload backend');
const now = () => new Date();

test.before(async (context) => {
  context.pki = await Pki.create();
});

test.after(async ({ pki }) => {
  await pki[Symbol.asyncDispose]();
});

function partsWith(
  config: Partial<BackendParts['config']>,
  clients: object,
  sources: BackendParts['sources'] = () => [],
  upstream: object = {},
): BackendParts & { config: BackendParts['config'] } {
  const certificates = clients as Clients['certificates']; // the methods that are used
  const identity = {
    GetModuleIdentity: () => Promise.resolve({ identity: { generation_id: '1', ...upstream } }),
  } as unknown as Clients['identity']; // as above
  return {
    config: {
      deviceCa: undefined,
      trustedCas: [],
      agent: undefined,
      hostname: 'device',
      serverNames: new Map(),
      moduleKey: 'rsa-2048',
      ...config,
    },
    clients: { keys: {} as Clients['keys'], certificates }, // as above
    identities: new Identities(identity, now),
    modules: () => [],
    sources,
    containerId: () => undefined,
    now,
    log: silentLog,
  };
}

/** The trust bundle, or the code of the error, where the Certificates service has this one. */
async function bundleOf(trustedCas: readonly CertificateReference[], pem: string): Promise<string> {
  const certificates = { GetTrustBundle: () => Promise.resolve({ pem }) };
  const backend = workloadBackend(partsWith({ trustedCas }, certificates));
  try {
    return await backend.trustBundle(callWithoutHold());
  } catch (error) {
    return codeIn(error);
  }
}

test('returns the trust bundle of the Certificates service, and fails with NotFound if it has none', async () => {
  assert.is(await bundleOf([], 'BUNDLE'), 'BUNDLE');
  assert.is(await bundleOf([], ''), 'NotFound');
  const configured = { kind: 'id', id: parseCertificateId('trusted-ca') } as const;
  assert.is(await bundleOf([configured], ''), 'NotFound');
});

test('has no trust bundle to return, rather than none, while the Certificates service cannot be reached', async () => {
  const GetTrustBundle = () => Promise.reject(new ServiceError('Unavailable', 'not now'));
  const backend = workloadBackend(partsWith({}, { GetTrustBundle }));
  const failure = await backend.trustBundle(callWithoutHold()).catch((error: unknown) => error);
  assert.is(failureOf(failure).status, 503);
});

test('reads the trust bundle for each request that follows another', async () => {
  let reads = 0;
  const GetTrustBundle = () => Promise.resolve({ pem: `BUNDLE ${++reads}` });
  const backend = workloadBackend(partsWith({}, { GetTrustBundle }));
  assert.is(await backend.trustBundle(callWithoutHold()), 'BUNDLE 1');
  assert.is(await backend.trustBundle(callWithoutHold()), 'BUNDLE 2');
});

test('returns the certificates in a file, and nothing else', async ({ pki }) => {
  const { certificate } = pki.root;
  const expected = certificate.trim();
  const contents = {
    plain: certificate,
    'below a comment': `a comment\n${certificate}`,
    'with a mark and the line ends of Windows': `\uFEFF${certificate.replaceAll('\n', '\r\n')}`,
    DER: new X509Certificate(certificate).raw,
  };
  for (const [name, content] of Object.entries(contents)) {
    const path = join(pki.directory, 'good.pem');
    await writeFile(path, content);
    const found = await bundleOf([{ kind: 'file', path }], '');
    assert.is(found.trim(), expected, name);
  }
});

test('reads a file once for concurrent requests, and again later', async ({ pki }) => {
  const contents = [pki.root.certificate.repeat(3), pki.root.certificate];
  let reads = 0;
  const readFile = () => Promise.resolve(Buffer.from(contents[Math.min(reads++, 1)] ?? ''));
  const { clients } = partsWith({}, {});
  const bundle = new TrustBundle(
    clients.certificates,
    new Outage('certificates', silentLog),
    readFile,
  );
  const read = () => bundle.read([{ kind: 'file', path: '/ca.pem' }], callWithoutHold());
  const [first = '', ...others] = await Promise.all(Array.from({ length: 50 }, read));
  assert.is(first.match(/BEGIN/g)?.length, 3);
  assert.ok(others.every((text) => text === first));
  assert.is(reads, 1);
  await sleep(1_100);
  assert.is((await read()).trim(), pki.root.certificate.trim());
  await sleep(1_100);
  assert.is((await read()).trim(), pki.root.certificate.trim());
  assert.is(reads, 3);
});

test('fails with Unavailable for a file without a certificate, even together with one that has some', async ({
  pki,
}) => {
  const good = join(pki.directory, 'good.pem');
  const { certificate } = pki.root;
  await writeFile(good, certificate);
  const half = certificate.slice(0, certificate.length / 2);
  for (const content of ['', 'a comment\n', half, certificate + half]) {
    const path = join(pki.directory, 'bad.pem');
    await writeFile(path, content);
    assert.is(await bundleOf([{ kind: 'file', path }], certificate), 'Unavailable');
    const both = [good, path].map((one) => ({ kind: 'file', path: one }) as const);
    assert.is(await bundleOf(both, certificate), 'Unavailable');
  }
});

/** Requested lifetime in seconds of a certificate of `sensor`, or the failure. */
async function lifetimeOf(
  wish: { readonly commonName: string; readonly notAfter: Date | undefined },
  upstream: object = {},
): Promise<string> {
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const Issue = ({ options }: { readonly options: { readonly lifetime_s: number } }) =>
    Promise.reject(new Error(String(options.lifetime_s)));
  const serverNames = new Map([[name, ['plant.example']]]);
  const parts = partsWith({ serverNames }, { Issue }, () => [source], upstream);
  const backend = workloadBackend({ ...parts, now: () => new Date(0) });
  return backend
    .certificate(name, { purpose: 'server', ...wish }, callWithoutHold())
    .then(() => 'issued', String);
}

test('requests certificates for 30 days, or until the expiration if that is earlier', async () => {
  const until = (notAfter: Date | undefined) => lifetimeOf({ commonName: 'sensor', notAfter });
  assert.is(await until(undefined), 'Error: 2592000');
  assert.is(await until(new Date(365 * 86_400_000)), 'Error: 2592000');
  assert.is(await until(new Date(61_500)), 'Error: 61');
  assert.match(await until(new Date(500)), /expiration is in the past/);
});

test("certifies no other name even if a module's own name is that of a parent of the device", async () => {
  const wish = { commonName: 'plant.example', notAfter: undefined };
  assert.is(await lifetimeOf(wish, { gateway_hostname: 'parent.example' }), 'Error: 2592000');
  assert.match(await lifetimeOf(wish, { gateway_hostname: 'sensor.example' }), /server_names/);
});

test('applies the current configuration', async () => {
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const certificates = { Issue: () => Promise.reject(new Error('asked')) };
  const parts = partsWith({}, certificates, () => [source]);
  const backend = workloadBackend(parts);
  const request = () => {
    const wish = { purpose: 'server', commonName: 'plant.example', notAfter: undefined } as const;
    return backend.certificate(name, wish, callWithoutHold()).then(() => 'issued', String);
  };
  assert.match(await request(), /server_names/);
  parts.config = { ...parts.config, serverNames: new Map([[name, ['plant.example']]]) };
  assert.is(await request(), 'Error: asked');
});

test.run();
