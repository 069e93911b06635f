/** Calls of the workload API to the other services, and its handling of their replies. */

import { execFile } from 'node:child_process';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { parseCertificateId, parseModuleId, parseModuleName } from '../../../../../src/ids.ts';
import type { CertificateRequest } from '../../../../../src/modules/api/workload/workload.ts';
import {
  type BackendParts,
  workloadBackend,
} from '../../../../../src/modules/api/workload/workload-backend.ts';
import type { Clients } from '../../../../../src/modules/clients.ts';
import type { ModuleKey } from '../../../../../src/modules/config/config.ts';
import { Identities } from '../../../../../src/modules/identities.ts';
import { failureOf } from '../../../../support/failure.ts';
import { silentLog } from '../../../../support/log.ts';
import { Pki } from '../../../../support/tls/pki.ts';
import { callWithoutHold } from '../../../../support/workload/no-hold.ts';

const test = suite<{ pki: Pki }>('calls of the workload backend');
const run = promisify(execFile);
const now = () => new Date();
const name = parseModuleName('sensor');
const moduleId = parseModuleId('sensor');
const sas = {
  generation_id: 'g',
  auth: 'sas',
  key_id: 'iotedge/module/sensor:primary',
  derivation: Buffer.alloc(0),
  hub_hostname: 'hub.example',
  gateway_hostname: 'hub.example',
  device_id: 'device 7',
  module_id: 'sensor',
};

type Input = Readonly<Record<string, unknown>>;

/** A backend with services that reply as given, and the calls to them. */
function backendWith(
  replies: Readonly<Record<string, (input: Input) => Promise<object>>>,
  {
    identity = {},
    config = {},
  }: { readonly identity?: object; readonly config?: Partial<BackendParts['config']> } = {},
) {
  const calls: (readonly [string, Input])[] = [];
  const methods = Object.entries(replies).map(([method, reply]) => [
    method,
    (input: Input, via: { readonly requestId: string }) => {
      assert.is(via.requestId, 'r', 'the request id is passed on');
      calls.push([method, input]);
      return reply(input);
    },
  ]);
  const client: unknown = Object.fromEntries(methods);
  const GetModuleIdentity = () => Promise.resolve({ identity: { ...sas, ...identity } });
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const backend = workloadBackend({
    config: {
      deviceCa: undefined,
      trustedCas: [],
      agent: undefined,
      hostname: 'device',
      serverNames: new Map(),
      moduleKey: 'ec-p256',
      ...config,
    },
    clients: {
      keys: client as Clients['keys'], // the methods that are used
      certificates: client as Clients['certificates'], // as above
    },
    identities: new Identities({ GetModuleIdentity } as unknown as Clients['identity'], now), // as above
    modules: () => [],
    sources: () => [{ name, settings, env: {}, elevated: false }],
    containerId: () => undefined,
    now,
    log: silentLog,
  });
  return { backend, calls };
}

const data = Buffer.from('data');

test('sign with the key of the identity, derived if the identity requires it', async () => {
  const Sign = () => Promise.resolve({ signature: Buffer.from('signed') });
  const plain = backendWith({ Sign });
  const request = { key_id: sas.key_id, mechanism: 'hmac-sha256', data };
  assert.is(String(await plain.backend.sign(moduleId, data, callWithoutHold())), 'signed');
  assert.equal(plain.calls, [['Sign', { ...request, options: {} }]]);
  const derivation = Buffer.from('sensor');
  const derived = backendWith({ Sign }, { identity: { derivation } });
  await derived.backend.sign(moduleId, data, callWithoutHold());
  assert.equal(derived.calls, [['Sign', { ...request, options: { derivation } }]]);
});

test('refuse to sign for a module without a key of its own', async () => {
  const { backend, calls } = backendWith({}, { identity: { auth: 'x509' } });
  assert.is(await failureOf(backend.sign(moduleId, data, callWithoutHold())), 'NotSupported');
  assert.equal(calls, []);
});

const aad = Buffer.from('bound to');
const sealing = {
  key_id: 'iotedge/module-encryption',
  mechanism: 'aes-256-gcm',
  input: data,
  options: { aad },
};

test('encrypt and decrypt data bound to the module, and create the key once', async () => {
  let keys = 0;
  const services = {
    Encrypt: () =>
      keys === 0
        ? Promise.reject(new ServiceError('NotFound', 'no key'))
        : Promise.resolve({ output: Buffer.from('sealed') }),
    CreateKey: () => {
      keys++;
      return Promise.resolve({});
    },
    Decrypt: () => Promise.resolve({ output: Buffer.from('opened') }),
  };
  const { backend, calls } = backendWith(services);
  for (let times = 0; times < 2; times++) {
    assert.is(String(await backend.encrypt(data, aad, callWithoutHold())), 'sealed');
  }
  assert.is(String(await backend.decrypt(data, aad, callWithoutHold())), 'opened');
  const key = { algorithm: 'aes-256', usages: ['encrypt'], options: { if_exists: 'keep' } };
  assert.equal(calls, [
    ['Encrypt', sealing],
    ['CreateKey', { key_id: sealing.key_id, ...key }],
    ['Encrypt', sealing],
    ['Encrypt', sealing],
    ['Decrypt', sealing],
  ]);
});

test('create no key after any other failure, and none to decrypt', async () => {
  const failing = (code: 'NotFound' | 'Unavailable' | 'InvalidArgs') => () =>
    Promise.reject(new ServiceError(code, 'no'));
  for (const code of ['Unavailable', 'InvalidArgs'] as const) {
    const { backend, calls } = backendWith({ Encrypt: failing(code) });
    assert.is(await failureOf(backend.encrypt(data, aad, callWithoutHold())), code);
    assert.is(calls.length, 1);
  }
  const { backend, calls } = backendWith({ Decrypt: failing('NotFound') });
  assert.is(await failureOf(backend.decrypt(data, aad, callWithoutHold())), 'NotFound');
  assert.is(calls.length, 1);
});

/** Issues certificates like a CA, for the key of the request or for another one. */
function authority(pki: Pki, { isOther = false } = {}) {
  const texts: string[] = [];
  const Issue = async ({ csr }: Input) => {
    const file = join(pki.directory, 'request.csr');
    await writeFile(file, csr as Buffer); // by the interface
    const inspect = ['req', '-inform', 'DER', '-in', file, '-verify', '-noout', '-text', '-pubkey'];
    const { stdout } = await run('openssl', inspect, { timeout: 20_000 });
    texts.push(stdout);
    const key = createPublicKey(isOther ? pki.root.certificate : stdout);
    const spki = key.export({ type: 'spki', format: 'der' });
    return { chain_pem: await pki.certify('issued', spki) };
  };
  return { Issue, texts };
}

const wish = (changes: Partial<CertificateRequest> = {}): CertificateRequest => ({
  purpose: 'server',
  commonName: 'sensor',
  notAfter: undefined,
  ...changes,
});

for (const [moduleKey, shown] of [
  ['ec-p256', 'ASN1 OID: prime256v1'],
  ['rsa-2048', 'Public-Key: (2048 bit)'],
] as const satisfies readonly (readonly [ModuleKey, string])[]) {
  test(`request a certificate for a new ${moduleKey} key and return both`, async ({ pki }) => {
    const { Issue, texts } = authority(pki);
    const { backend, calls } = backendWith({ Issue }, { config: { moduleKey } });
    const issued = await backend.certificate(name, wish(), callWithoutHold());
    assert.match(String(texts[0]), shown);
    assert.match(String(texts[0]), /Subject: CN ?= ?sensor\n/);
    assert.match(String(texts[0]), /DNS:sensor\n/);
    const leaf = new X509Certificate(issued.chainPem);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(issued.privateKeyPem.toString())));
    assert.is(issued.notAfter.getTime(), new Date(leaf.validTo).getTime());
    assert.equal(
      calls.map(([, { certificate_id, options }]) => [certificate_id, options]),
      [['iotedge/module/sensor:server', { profile: 'server', lifetime_s: 30 * 86_400 }]],
    );
  });
}

test('request an identity certificate from the configured CA', async ({ pki }) => {
  const { Issue, texts } = authority(pki);
  const deviceCa = parseCertificateId('device-ca');
  const { backend, calls } = backendWith({ Issue }, { config: { deviceCa } });
  await backend.certificate(name, wish({ purpose: 'identity' }), callWithoutHold());
  assert.match(String(texts[0]), 'URI:azureiot://hub.example/devices/device%207/modules/sensor');
  assert.equal(
    calls.map(([, { certificate_id, options }]) => [certificate_id, options]),
    [
      [
        'iotedge/module/sensor:identity',
        { profile: 'client', lifetime_s: 30 * 86_400, issuer: 'device-ca' },
      ],
    ],
  );
});

test('refuse a certificate for another key, and a malformed one', async ({ pki }) => {
  const foreign = authority(pki, { isOther: true });
  for (const Issue of [foreign.Issue, () => Promise.resolve({ chain_pem: 'none' })]) {
    const { backend } = backendWith({ Issue });
    const issued = backend.certificate(name, wish(), callWithoutHold());
    assert.is(await failureOf(issued), 'Unavailable');
  }
});

test('request no certificate for a name of another module', async () => {
  const { backend, calls } = backendWith({});
  for (const commonName of ['other', 'hub.example', 'device', '', '*']) {
    const issued = backend.certificate(name, wish({ commonName }), callWithoutHold());
    assert.is(await failureOf(issued), 'AccessDenied', commonName);
  }
  assert.equal(calls, []);
});

test.before(async (context) => {
  context.pki = await Pki.create();
});

test.after(async ({ pki }) => {
  await pki[Symbol.asyncDispose]();
});

test.run();
