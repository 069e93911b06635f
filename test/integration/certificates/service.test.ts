import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client, onSignal } from '../../../src/dbus/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
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
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { PrivateBus } from '../../support/private-bus.ts';
import { makeCa, makeKey } from '../../unit/x509/openssl.ts';
import { serveKeys } from './serve-keys.ts';

const test = suite('the certificates service on a bus');
const program = join(import.meta.dirname, '../../../src/certificates/main.js');
const { busName, path } = certificatesService;
const unprivileged = 65_534;

/** The service as a process of its own on a private bus. */
class Rig implements AsyncDisposable {
  readonly bus: PrivateBus;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  output = '';

  private constructor(bus: PrivateBus, child: ChildProcess) {
    this.bus = bus;
    this.#child = child;
    this.#ended = once(child, 'close');
    child.stderr?.on('data', (chunk) => (this.output += String(chunk)));
  }

  static async start(bus: PrivateBus, config = ''): Promise<Rig> {
    const configDir = join(bus.directory, 'etc');
    await mkdir(configDir, { recursive: true });
    await writeFile(join(configDir, 'certificates.yaml'), config);
    const stateDir = join(bus.directory, 'state');
    const args = [program, '--config-dir', configDir, '--state-dir', stateDir];
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: bus.address };
    return new Rig(
      bus,
      spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] }),
    );
  }

  /** A connection on which the service can be called. */
  async ready(): Promise<Bus> {
    const bus = await this.bus.connect();
    const end = Date.now() + 20_000;
    while ((await bus.nameOwner(busName)) === undefined) {
      if (Date.now() > end || this.#child.exitCode !== null) throw new Error(this.output);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return bus;
  }

  async exitCode(): Promise<number | null> {
    await deadline(20_000, this.#ended, 'the service to end');
    return this.#child.exitCode;
  }

  stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.exitCode();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exitCode();
  }
}

test('imports, announces, exports and deletes, and answers from its state after a restart', async () => {
  await using privateBus = await PrivateBus.start();
  const root = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  {
    await using rig = await Rig.start(privateBus);
    await using bus = await rig.ready();
    const certificates = client(bus, certificatesService, certificatesInterface);
    let changes = 0;
    await using _changed = await onSignal(bus, certificatesService, {
      definition: certificatesInterface,
      member: 'TrustBundleChanged',
      listener: () => void changes++,
    });
    const request = { certificate_id: 'trusted-ca', data: root.der, format: 'der' };
    const { certificate } = await certificates.Import(request);
    assert.is(certificate, `${path}/certificate/trusted_2dca`);
    await until(5000, 'the signal', () => changes === 1);
    assert.is(await failureOf(certificates.Import(request)), 'AlreadyExists');
    const again = { ...request, options: { if_exists: 'replace', key_id: 'root' } };
    await certificates.Import(again);
    assert.is(await rig.stop(), 0);
  }
  await using rig = await Rig.start(privateBus);
  await using bus = await rig.ready();
  const certificates = client(bus, certificatesService, certificatesInterface);
  assert.is((await certificates.GetTrustBundle({})).pem, encodeCertificatesPem([root]));
  const { certificate } = await certificates.Get({ certificate_id: 'trusted-ca' });
  assert.is(certificate.key_id, 'root');
  const format = { certificate_id: 'trusted-ca', format: 'der' };
  assert.equal((await certificates.Export(format)).data, root.der);
  const { json } = await certificates.Describe({});
  assert.match(json, root.fingerprint);
  await certificates.Delete({ certificate_id: 'trusted-ca' });
  assert.is(await failureOf(certificates.Export(format)), 'NotFound');
});

test('issues with a preloaded CA whose key it finds by its public half', async () => {
  await using privateBus = await PrivateBus.start();
  const [rootKey, key] = [makeKey('ec-p256'), makeKey('ec-p256')];
  const root = await makeCa({ name: 'CN=root', key: rootKey });
  const ca = await makeCa({ name: 'CN=ca', key, by: { certificate: root, key: rootKey } });
  const file = join(privateBus.directory, 'device-ca.cer');
  await writeFile(file, encodeCertificatesPem([ca]));
  await using keysBus = await privateBus.connect();
  const keys = new Map([
    ['device-ca', makeKey('ec-p256')],
    ['odd name', makeKey('ec-p256')],
    ['factory/ca', key],
  ]);
  await serveKeys(keysBus, keys);
  await using rig = await Rig.start(privateBus, `'preloaded_cert:device-ca': '${file}'\n`);
  await using bus = await rig.ready();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const held = await certificates.Get({ certificate_id: 'device-ca' });
  assert.is(held.certificate.key_id, 'factory/ca');
  const leafKey = makeKey('ec-p256');
  const csr = await buildCsr({
    subject: parseName('CN=web'),
    spki: spkiOf(leafKey),
    extensions: [subjectAlternativeName([parseAlternativeName('dns', 'web')])],
    signer: localSigner(leafKey),
  });
  const { chain_pem } = await certificates.Issue({
    certificate_id: 'iotedge/module/web:server',
    csr,
    options: { issuer: 'device-ca', profile: 'server' },
  });
  const [leaf, issuer] = parseCertificatesPem(Buffer.from(chain_pem), 'chain');
  assert.ok(leaf && issuer && isIssuedBy(leaf, issuer) && isIssuedBy(issuer, root));
  const more = { certificate_id: 'web', csr, options: { issuer: 'device-ca' } };
  assert.is(await failureOf(certificates.Issue(more)), 'InvalidArgs');
});

test('is usable from busctl, refuses others without polkit, and survives malformed calls', async () => {
  await using privateBus = await PrivateBus.start();
  const root = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  const file = join(privateBus.directory, 'root.cer');
  await writeFile(file, encodeCertificatesPem([root]));
  await using rig = await Rig.start(privateBus, `'preloaded_cert:trusted-ca': '${file}'\n`);
  await using _bus = await rig.ready();
  const call = ['call', busName, path, certificatesInterface.name];
  const bundle = await privateBus.busctl(...call, 'GetTrustBundle', 'a{sv}', '0');
  assert.match(bundle.stdout, 'BEGIN CERTIFICATE');
  const introspection = await privateBus.busctl('introspect', busName, path);
  assert.match(introspection.stdout, 'TrustBundleDigest');
  const denied: readonly (readonly string[])[] = [
    ['Issue', 'saya{sv}', 'x', '1', '0', '0'],
    ['Import', 'saysa{sv}', 'x', '1', '0', 'der', '0'],
    ['Export', 'ssa{sv}', 'trusted-ca', 'pem', '0'],
    ['Delete', 'sa{sv}', 'absent', '0'],
  ];
  for (const args of denied) {
    const { code, stderr } = await privateBus.busctlAs(unprivileged, ...call, ...args);
    assert.is.not(code, 0);
    assert.match(stderr, /[Aa]ccess denied|not authorized|denied/, args[0]);
  }
  const open = await privateBus.busctlAs(unprivileged, ...call, 'Get', 'sa{sv}', 'trusted-ca', '0');
  assert.is(open.code, 0);
  const malformed: readonly (readonly string[])[] = [
    ['Get', 's', 'trusted-ca'],
    ['Get', 'sa{sv}', '../x', '0'],
    ['Issue', 'saya{sv}', 'x', '1', '0', '0'],
    ['Issue', 'saya{sv}', 'x', '1', '0', '1', 'issuer', 's', '//'],
    ['Import', 'saysa{sv}', 'x', '1', '0', 'der', '1', 'unknown', 's', 'x'],
    ['Export', 'ssa{sv}', 'trusted-ca', 'pkcs12', '0'],
    ['Delete', 'sa{sv}', '', '0'],
    ['GetTrustBundle', 'a{sv}', '1', 'certificate_id', 'u', '1'],
  ];
  for (const args of malformed) {
    const { code } = await privateBus.busctl(...call, ...args);
    assert.is.not(code, 0, args.join(' '));
  }
  const still = await privateBus.busctl(...call, 'Describe', 'a{sv}', '0');
  assert.is(still.code, 0);
});

test('ends with 78 over a wrong configuration and touches nothing', async () => {
  await using privateBus = await PrivateBus.start();
  await using rig = await Rig.start(privateBus, 'certificates: { a: { method: local-ca } }\n');
  assert.is(await rig.exitCode(), 78);
  assert.match(rig.output, 'certificates.yaml:1');
});

test.run();
