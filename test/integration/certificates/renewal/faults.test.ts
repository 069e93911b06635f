/** Enrolments and renewals on a device where processes end, the disk is full, the clock steps and CAs are replaced. */
import { writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificatesService } from '../../../../src/interfaces/certificates.ts';
import { encodeCertificatesPem } from '../../../../src/x509/certificate.ts';
import { FaultyDevice } from '../../../support/certificates/faulty-device.ts';
import { until } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import { isSoak } from '../../../support/property.ts';
import { SmallDisk } from '../../../support/system/small-disk.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';

const test = suite<{ device: FaultyDevice }>('faults around an order');
const waitMs = 30_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** More changes of a record than any operation needs. */
const most = 40;
const own = { method: 'self_signed', lifetime: '10d' };
const settings = {
  idle_exit_s: 600,
  certificates: {
    'k/*': own,
    'soon/*': own,
    root: { ...own, profiles: ['device-ca'], renew_at: '1h' },
    leaf: { method: 'local_ca', issuer: 'root', lifetime: '30d' },
    'site-leaf': { method: 'local_ca', issuer: 'site', lifetime: '30d' },
    foreign: { method: 'local_ca', issuer: 'narrow', profiles: ['server'], dns: ['b.example'] },
  },
};

test.before(async (context) => {
  context.device = await FaultyDevice.start();
  await context.device.rig.configure('certificates', settings);
});

test.after(({ device }) => device[Symbol.asyncDispose]());

/** Calls a method whose process is killed at a change; returns whether it was, and then the call has succeeded. */
async function killed(
  { faults, rig }: FaultyDevice,
  at: number,
  call: () => Promise<unknown>,
): Promise<boolean> {
  await faults.killAt(at);
  await failureOf(call());
  const isKilled = await faults.isOver();
  await faults.killAt(0);
  if (!isKilled) return false;
  await until(waitMs, 'the call', async () => (await failureOf(call())) === 'no failure');
  assert.ok(await rig.processOf('certificates'));
  return true;
}

async function enrollKilled(device: FaultyDevice, at: number): Promise<boolean> {
  const certificate_id = `k/enroll-${at}`;
  const isKilled = await killed(device, at, () => device.certificates.Enroll({ certificate_id }));
  assert.is(await device.keyOf(certificate_id), `iotedge/certificate/${certificate_id}`);
  assert.is((await device.keysOf(certificate_id)).length, 1, `at ${at}`);
  return isKilled;
}

async function renewKilled(device: FaultyDevice, at: number): Promise<boolean> {
  const { certificates } = device;
  const certificate_id = `k/renew-${at}`;
  await certificates.Enroll({ certificate_id });
  const before = await device.keyOf(certificate_id);
  let calls = 0;
  const isKilled = await killed(device, at, async () => {
    // the process that follows renews by itself what was ordered
    if (calls++ === 0) return certificates.Renew({ certificate_id });
    const { State, Operation } = await device.shown(certificate_id);
    return assert.equal([State, Operation], ['valid', '']);
  });
  const after = await device.keyOf(certificate_id);
  const ids = await device.keysOf(certificate_id);
  const expected = after === before ? [before] : [before, after];
  // an order that was not persisted is none
  assert.equal(ids, expected.sort(), `at ${at}`);
  assert.ok(at === 1 || after !== before, `at ${at}`);
  return isKilled;
}

for (const [name, run, sampled] of [
  ['Enroll', enrollKilled, [3]],
  ['Renew', renewKilled, [7]],
] as const) {
  test(`a process that is killed during ${name} leaves a certificate to the next one`, async ({
    device,
  }) => {
    if (!isSoak) {
      for (const at of sampled) assert.ok(await run(device, at), `not killed at ${at}`);
      return;
    }
    let at = 1;
    while (await run(device, at)) assert.ok(++at < most, 'an end');
    console.log(`${name}: killed at ${at - 1} points`);
    assert.ok(at > 8);
  });
}

for (const at of isSoak ? [2, 4] : [4]) {
  test(`a Keys service that is killed at ${at} during Enroll leaves one key to the next one`, async ({
    device,
  }) => {
    const { certificates, faults, keys, rig } = device;
    const certificate_id = `k/keys-${at}`;
    await keys.Describe({});
    const own = await rig.processOf('certificates');
    assert.ok(own);
    await faults.killAt(at, 'SIGSTOP');
    const enrolled = failureOf(certificates.Enroll({ certificate_id }));
    await until(waitMs, 'the order', () => faults.isOver());
    await rig.stop('keys', 'SIGKILL');
    process.kill(own, 'SIGCONT');
    assert.is(await enrolled, 'no failure');
    assert.is(await device.keyOf(certificate_id), `iotedge/certificate/${certificate_id}`);
    assert.is((await device.keysOf(certificate_id)).length, 1);
  });
}

test('what a CA may not issue does not become current', async ({ device }) => {
  const { certificates, keys } = device;
  const key = makeKey('ec-p256');
  // permits dNSName a.example alone (RFC 5280, 4.2.1.10)
  const value = Buffer.from(`300fa00d300b8209${Buffer.from('a.example').toString('hex')}`, 'hex');
  const extensions = [{ oid: '2.5.29.30', critical: true, value }];
  const narrow = await makeCa({ name: 'CN=narrow', key, extensions });
  const material = key.export({ format: 'der', type: 'pkcs8' });
  const form = { format: 'pkcs8', material, algorithm: '', usages: [] };
  await keys.ImportKey({
    ...form,
    key_id: 'iotedge/certificate/narrow',
    options: { store: 'file' },
  });
  const data = Buffer.from(encodeCertificatesPem([narrow]));
  const pem = {
    certificate_id: 'narrow',
    data,
    format: 'pem',
    options: { key_id: 'iotedge/certificate/narrow' },
  };
  await certificates.ImportCertificate(pem);
  const enrolled = certificates.Enroll({ certificate_id: 'foreign' });
  const message = await enrolled.then(
    () => 'issued',
    (error: Error) => error.message,
  );
  assert.match(message, /refuses the certificate "foreign": .*b\.example/);
  assert.is(
    await failureOf(certificates.GetCertificate({ certificate_id: 'foreign' })),
    'NotFound',
  );
});

test('a full disk refuses Enroll and Renew, everything is as before, and certificates are deleted', async ({
  device,
}) => {
  const { certificates, rig } = device;
  const renewed = { certificate_id: 'k/disk' };
  const enrolled = { certificate_id: 'k/disk-2' };
  const deleted = { certificate_id: 'k/disk-3' };
  for (const one of [renewed, deleted]) await certificates.Enroll(one);
  await certificates.Renew(deleted);
  const before = await certificates.GetCertificate(renewed);
  await rig.stop('certificates');
  const disk = await SmallDisk.mount(rig, rig.stateDirectory('certificates'));
  try {
    await certificates.GetCertificate(renewed);
    await disk.fill();
    assert.is(await failureOf(certificates.Renew(renewed)), 'Unavailable');
    assert.is(await failureOf(certificates.Enroll(enrolled)), 'Unavailable');
    assert.equal(await certificates.GetCertificate(renewed), before);
    assert.is((await device.shown('k/disk')).State, 'valid');
    assert.is(await failureOf(certificates.GetCertificate(enrolled)), 'NotFound');
    assert.equal(await device.keysOf('k/disk'), [before.certificate.key_id]);
    assert.equal(await device.keysOf('k/disk-2'), []);
    await certificates.DeleteCertificate(deleted);
    assert.is(await failureOf(certificates.GetCertificate(deleted)), 'NotFound');
    await until(waitMs, 'no keys', async () => (await device.keysOf('k/disk-3')).length === 0);
    await disk.empty();
    await certificates.Enroll(enrolled);
    await certificates.Renew(renewed);
    assert.is(await device.keyOf('k/disk'), 'iotedge/certificate/k/disk@2');
  } finally {
    await rig.stop('certificates');
    await disk[Symbol.asyncDispose]();
  }
});

test('a clock that was never set renews nothing, which properties and Health say', async ({
  device,
}) => {
  const { certificates, faults } = device;
  await certificates.Enroll({ certificate_id: 'k/clock' });
  await faults.setClock(-Date.now());
  await until(waitMs, 'the reason', async () => {
    const { health, LastError } = await device.shown('k/clock');
    return String(LastError).includes('never set') && health === 'degraded';
  });
  assert.is(await device.keyOf('k/clock'), 'iotedge/certificate/k/clock');
  await faults.setClock(0);
  await until(waitMs, 'no reason', async () => {
    const { health, LastError } = await device.shown('k/clock');
    return LastError === '' && health === 'ok';
  });
});

test('a shortened renew_at takes effect by a reload, and what is due later with the next start', async ({
  device,
}) => {
  const { bus, certificates, faults, rig } = device;
  const certificate_id = 'soon/one';
  await certificates.Enroll({ certificate_id });
  await faults.setClock(6 * dayMs);
  assert.is(await rig.reload('certificates'), 'reloaded');
  const [first, second] = ['', '@2'].map((n) => `iotedge/certificate/soon/one${n}`);
  assert.is(await device.keyOf(certificate_id), first);
  const rules = { ...settings.certificates, 'soon/*': { ...own, renew_at: '55%' } };
  await rig.configure('certificates', { ...settings, certificates: rules });
  assert.is(await rig.reload('certificates'), 'reloaded');
  const isSecond = async () => (await device.keyOf(certificate_id)) === second;
  await until(waitMs, 'the renewal after the reload', isSecond);
  await rig.stop('certificates');
  await faults.setClock(12 * dayMs);
  // as the timer does
  const path = '/org/freedesktop/DBus';
  const [destination, member] = ['org.freedesktop.DBus', 'StartServiceByName'];
  const body = [certificatesService.busName, 0];
  await bus.call({ destination, path, interface: destination, member, signature: 'su', body });
  await until(waitMs, 'the renewal after the start', async () => !(await isSecond()));
  await rig.configure('certificates', settings);
});

test('a renewal that its CA did not allow is repeated when the CA was replaced', async ({
  device,
}) => {
  const { certificates, faults, keys, rig } = device;
  const file = `${rig.directory}/secrets/site.cer`;
  const key = makeKey('ec-p256');
  const makeSite = async (now: Date) =>
    writeFile(file, encodeCertificatesPem([await makeCa({ name: 'CN=site', key, now })]));
  const start = Date.now();
  await makeSite(new Date(start));
  const material = key.export({ format: 'der', type: 'pkcs8' });
  const form = { format: 'pkcs8', material, algorithm: '', usages: [] };
  const key_id = 'iotedge/certificate/site';
  await keys.ImportKey({ ...form, key_id, options: { store: 'file' } });
  await rig.stop('certificates');
  await faults.setClock(0);
  const preloaded = { 'preloaded_cert:site': file };
  await rig.configure('certificates', { ...settings, ...preloaded });
  for (const certificate_id of ['root', 'leaf', 'site-leaf']) {
    await certificates.Enroll({ certificate_id });
  }
  const isStuck = (id: string) => async () => (await device.shown(id)).State === 'stuck';
  const isValid = (id: string) => async () => (await device.shown(id)).State === 'valid';
  await faults.setClock(22 * hourMs);
  await until(waitMs, 'the end of the CA', isStuck('site-leaf'));
  await rig.stop('certificates');
  await makeSite(new Date(start + 22 * hourMs));
  await until(waitMs, 'the renewal', isValid('site-leaf'));
  await faults.setClock(9 * dayMs);
  await until(waitMs, 'the end of the root', isStuck('leaf'));
  await certificates.Renew({ certificate_id: 'root' });
  await until(waitMs, 'the renewal', isValid('leaf'));
});

test.run();
