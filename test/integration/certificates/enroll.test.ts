/** Certificates that the service enrols and renews, with keys of a real Keys service. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { isServiceError } from '../../../src/errors.ts';
import {
  certificateInterface,
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite('enrolments');
const waitMs = 30_000;
const id = 'app/one';
const settings = {
  certificates: {
    'root*': { method: 'self_signed', profiles: ['device-ca'], lifetime: '400d' },
    'app/*': { method: 'local_ca', issuer: 'root', profiles: ['server'], dns: ['app.local'] },
    away: { method: 'external' },
  },
};

function clients(bus: Bus) {
  return {
    keys: client(bus, keysService, keysInterface),
    certificates: client(bus, certificatesService, certificatesInterface),
  };
}

/** The properties of a certificate; undefined when there is no such object. */
async function shown(
  bus: Bus,
  certificateId: string,
): Promise<ReadonlyMap<string, unknown> | undefined> {
  const { busName: destination, path } = certificatesService;
  const call = { interface: 'org.freedesktop.DBus.ObjectManager', member: 'GetManagedObjects' };
  const [objects] = await bus.call({ destination, path, ...call });
  for (const interfaces of Object.values(objects as Readonly<Record<string, object>>)) {
    const values = new Map<string, unknown>(Object.entries(interfaces)).get(
      certificateInterface.name,
    );
    const all = new Map<string, unknown>(Object.entries(values ?? {}));
    const plain = [...all].map(
      ([name, value]) => [name, value instanceof Variant ? value.value : value] as const,
    );
    const properties = new Map(plain);
    if (properties.get('CertificateId') === certificateId) return properties;
  }
  return undefined;
}

async function stateOf(bus: Bus, certificateId: string): Promise<unknown> {
  return (await shown(bus, certificateId))?.get('State');
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

async function configured(): Promise<Rig> {
  const rig = await Rig.start();
  await rig.configure('certificates', settings);
  return rig;
}

test('make a key and get a certificate for it, which Renew replaces together with the key', async () => {
  await using rig = await configured();
  await using bus = await rig.connect();
  const { certificates, keys } = clients(bus);
  await certificates.Enroll({ certificate_id: 'root' });
  const { certificate: path } = await certificates.Enroll({ certificate_id: id });
  assert.is(path, '/org/iotedge/Certificates1/certificate/app_2fone');
  const { certificate: first } = await certificates.GetCertificate({ certificate_id: id });
  assert.is(first.key_id, `iotedge/certificate/${id}`);
  const [leaf, ca] = parseCertificatesPem(Buffer.from(first.chain_pem), 'it');
  assert.equal([leaf?.subjectText, leaf?.issuerText], [`CN=${id}`, 'CN=root']);
  assert.equal(
    [leaf?.alternativeNames, leaf?.extendedKeyUsage],
    [['dns:app.local'], ['serverAuth']],
  );
  assert.is(ca?.subjectText, 'CN=root');
  const { spki } = await keys.GetPublicKey({ key_id: first.key_id });
  assert.ok(leaf?.spki.equals(spki));
  const life = first.not_after - first.not_before;
  assert.ok(first.renew_at >= first.not_before + life / 2n && first.renew_at < first.not_after);
  const properties = await shown(bus, id);
  for (const [name, value] of [
    ['Method', 'local_ca'],
    ['Profile', 'server'],
    ['State', 'valid'],
    ['RenewAt', first.renew_at],
    ['LastError', ''],
    ['Operation', ''],
  ] as const) {
    assert.is(properties?.get(name), value, name);
  }
  await certificates.Enroll({ certificate_id: id });
  const { certificate: same } = await certificates.GetCertificate({ certificate_id: id });
  assert.is(same.chain_pem, first.chain_pem, 'an enrolled certificate stays');
  await certificates.Renew({ certificate_id: id });
  const { certificate: second } = await certificates.GetCertificate({ certificate_id: id });
  assert.is(second.key_id, `iotedge/certificate/${id}@2`);
  assert.is.not(second.chain_pem, first.chain_pem);
  assert.ok((await keys.GetPublicKey({ key_id: first.key_id })).spki.equals(spki), 'for a day');
  await certificates.Renew({ certificate_id: id, options: { rotate_key: false } });
  const { certificate: third } = await certificates.GetCertificate({ certificate_id: id });
  assert.is(third.key_id, second.key_id);
});

test('that are deleted take their keys with them', async () => {
  await using rig = await configured();
  await using bus = await rig.connect();
  const { certificates, keys } = clients(bus);
  await certificates.Enroll({ certificate_id: 'root' });
  const ids = ['', '@2', '@3', '@4'].map((suffix) => `iotedge/certificate/root${suffix}`);
  for (let renewals = 0; renewals < 3; renewals++) {
    await certificates.Renew({ certificate_id: 'root' });
  }
  for (const key_id of ids) await keys.GetPublicKey({ key_id });
  await certificates.DeleteCertificate({ certificate_id: 'root' });
  assert.is(await shown(bus, 'root'), undefined);
  for (const key_id of ids) assert.match(await codeOf(keys.GetPublicKey({ key_id })), 'NotFound');
  assert.match(await codeOf(certificates.Renew({ certificate_id: 'root' })), 'NotFound');
});

test('that fail leave nothing behind when their callers wait, and a stuck or pending certificate when not', async () => {
  await using rig = await configured();
  await using bus = await rig.connect();
  const { certificates, keys } = clients(bus);
  const key_id = `iotedge/certificate/${id}`;
  assert.match(
    await codeOf(certificates.Enroll({ certificate_id: id })),
    'NotFound: no certificate "root"',
  );
  assert.is(await shown(bus, id), undefined);
  assert.match(await codeOf(keys.GetPublicKey({ key_id })), 'NotFound');
  await certificates.Enroll({ certificate_id: id, options: { wait: false } });
  await until(waitMs, 'its failure', async () => (await shown(bus, id))?.get('LastError') !== '');
  const failed = await shown(bus, id);
  assert.equal([failed?.get('State'), failed?.get('NotAfter')], ['pending', 0n]);
  assert.match(String(failed?.get('LastError')), 'no certificate "root"');
  assert.match(await codeOf(certificates.GetCertificate({ certificate_id: id })), 'Unavailable');
  // the issuer that was missing makes it due
  await certificates.Enroll({ certificate_id: 'root' });
  await certificates.Enroll({ certificate_id: id });
  assert.is(await stateOf(bus, id), 'valid');
});

test('are refused for ids whose certificates are not issued here', async () => {
  await using rig = await configured();
  await using bus = await rig.connect();
  const { certificates } = clients(bus);
  const enroll = (certificate_id: string, options = {}) =>
    codeOf(certificates.Enroll({ certificate_id, options }));
  assert.match(
    await enroll('away'),
    'NotSupported: the certificate "away" is not ordered here, but renewed by whichever service',
  );
  assert.match(await enroll('app/x@2'), 'InvalidArgs');
  assert.match(await enroll('app/'.padEnd(101, 'x')), 'InvalidArgs');
  assert.match(await enroll(id, { issuer: 'other' }), 'InvalidArgs');
  assert.match(await enroll('iotedge/module/web:server'), 'NotSupported');
  assert.match(await codeOf(certificates.Cancel({ id })), 'NotFound');
});

test('are not taken for imported certificates, and imports end them', async () => {
  await using rig = await configured();
  await using bus = await rig.connect();
  const { certificates, keys } = clients(bus);
  await certificates.Enroll({ certificate_id: 'root' });
  const { certificate } = await certificates.GetCertificate({ certificate_id: 'root' });
  const data = Buffer.from(certificate.chain_pem);
  await certificates.Enroll({ certificate_id: id });
  const options = { if_exists: 'replace' };
  await certificates.ImportCertificate({ certificate_id: id, data, format: 'pem', options });
  assert.equal([(await shown(bus, id))?.get('Method'), await stateOf(bus, id)], ['none', 'valid']);
  assert.is((await shown(bus, id))?.get('RenewAt'), 0n);
  await keys.GetPublicKey({ key_id: `iotedge/certificate/${id}` });
  assert.match(await codeOf(certificates.Renew({ certificate_id: id })), 'NotSupported');
  await certificates.Enroll({ certificate_id: id });
  assert.is((await shown(bus, id))?.get('Method'), 'local_ca');
});

test.run();
