/** The Identity service until it has an identity: its requests to the cloud, its retries, and when it may exit. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import type { CloudResponse } from '../../support/cloud/exchange.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import {
  certificateOf,
  hubName,
  IdentityInProcess,
  registrationId,
} from '../../support/identity/identity-in-process.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('identity service');
const reprovision = { options: { wait: false } };

/** A device; with `live` false nothing starts automatically. */
async function deviceWith(options?: Parameters<IdentityInProcess['start']>[0]) {
  const device = await IdentityInProcess.create();
  await device.start(options);
  return device;
}

function untilState(device: IdentityInProcess, state: string): Promise<void> {
  const what = () => `${state}, not ${String(device.shown.properties['State'])}`;
  return until(10_000, what, () => device.shown.properties['State'] === state);
}

/** A response of the cloud that is held until it is released. */
function held(device: IdentityInProcess) {
  let release = (_answer?: CloudResponse): void => undefined;
  const response = new Promise<CloudResponse | undefined>((resolve) => {
    release = resolve;
  });
  device.cloud.interfere = () => response;
  return { release };
}

/** The wait before the next attempt, by the device's own clock. */
function waitMs(device: IdentityInProcess): number {
  return Number(device.shown.properties['NextAttempt']) / 1000 - device.clock();
}

test('registers as documented, with the certificate, the roots and the limits of the configuration', async () => {
  await using device = await IdentityInProcess.create();
  const certificate = await readFile(device.certificateFile, 'utf8');
  const at = Date.now() - 1234;
  device.clock = () => at;
  await device.start({
    provisioning: `  global_endpoint: 'https://dps.example:444'`,
    yaml: `cloud: { trusted_ca: '${device.rootFile}', timeout_s: 12, proxy: 'http://proxy:3128' }`,
    live: false,
  });
  await device.call('Provision', {}, { requestId: 'from-the-call' });
  const [request] = device.cloud.requests;
  assert.is(
    request?.url,
    `https://dps.example:444/0ne1/registrations/${registrationId}/register?api-version=2021-06-01`,
  );
  assert.is(request?.method, 'PUT');
  assert.equal(JSON.parse(String(request?.body)), { registrationId });
  assert.equal(request?.headers, {
    accept: 'application/json',
    'user-agent': 'iotedge-identity/1.2.3',
    'content-type': 'application/json; charset=utf-8',
  });
  const { chainPem = '', keyId } = request?.clientCertificate ?? {};
  assert.equal([chainPem.trim(), keyId], [certificate.trim(), 'device-id']);
  assert.is(request?.ca?.trim(), (await readFile(device.rootFile, 'utf8')).trim());
  assert.equal([request?.timeoutMs, request?.proxy], [12_000, 'http://proxy:3128']);
  assert.is(request?.requestId, 'from-the-call');
  const { HubHostname, GatewayHostname, DeviceId, State, Health } = device.shown.properties;
  assert.is(device.shown.properties['LastProvisioned'], BigInt(at) * 1000n);
  assert.equal([HubHostname, GatewayHostname, DeviceId], [hubName, hubName, registrationId]);
  assert.equal([State, Health], ['provisioned', 'ok']);
});

test('uses the default endpoint, timeout and connection', async () => {
  await using device = await deviceWith({ live: false });
  await device.call('Provision');
  const [{ url, timeoutMs, proxy } = {} as HttpsRequest] = device.cloud.requests;
  assert.match(url, /^https:\/\/global\.azure-devices-provisioning\.net\/0ne1\//);
  assert.equal([timeoutMs, proxy], [70_000, undefined]);
});

test('reads its certificate and the roots again for each request', async () => {
  await using device = await deviceWith({ live: false });
  await device.call('Provision');
  const certificate = await device.certify(registrationId);
  const other = await certificateOf('another root');
  await writeFile(device.rootFile, other);
  await device.call('Reprovision');
  const last = device.cloud.requests.at(-1);
  assert.is(last?.clientCertificate?.chainPem.trim(), certificate.trim());
  assert.is(last?.ca?.trim(), other.trim());
});

test('starts provisioning when it is live, with a request id for the log, and not before', async () => {
  await using device = await deviceWith({ live: false });
  assert.is(device.shown.properties['State'], 'unprovisioned');
  assert.equal([device.running.isBusy?.(), device.running.due?.()], [false, undefined]);
  assert.is(device.cloud.requests.length, 0);
  device.running.onNameAcquired?.();
  await untilState(device, 'provisioned');
  const provisioned = device.log.find(({ message }) => message === 'device provisioned');
  assert.match(String(provisioned?.fields['requestId']), /^[0-9a-f-]{36}$/);
  assert.is(device.cloud.requests[0]?.requestId, provisioned?.fields['requestId']);
});

test('restarts an automatic attempt, and cancels it for a request of a caller', async () => {
  await using device = await deviceWith({ live: false });
  held(device);
  device.running.onNameAcquired?.();
  await until(10_000, 'a request', () => device.cloud.requests.length > 0);
  const intents = join(device.stateDir, 'operations');
  assert.equal(await readdir(intents), []);
  device.cloud.interfere = undefined;
  await device.call('Reprovision');
  assert.is(device.shown.properties['State'], 'provisioned');
  assert.is(device.cloud.registrations(), 2);
});

test('is busy while it registers, waits for the next attempt, and for nothing after a success', async () => {
  await using device = await deviceWith({ live: false });
  const { release } = held(device);
  device.running.onNameAcquired?.();
  await until(10_000, 'a request', () => device.cloud.requests.length > 0);
  const { running } = device;
  assert.is(running.isBusy?.(), true);
  assert.ok((running.due?.()?.getTime() ?? Number.POSITIVE_INFINITY) <= Date.now());
  assert.equal(
    [device.shown.properties['State'], device.shown.properties['Operation']],
    ['provisioning', 'Provision'],
  );
  release({ status: 503 });
  await untilState(device, 'failed');
  await until(10_000, 'the end of the operation', () => running.isBusy?.() === false);
  const next = running.due?.()?.getTime() ?? 0;
  assert.is(BigInt(next) * 1000n, device.shown.properties['NextAttempt']);
  assert.ok(next > Date.now() - 60_000);
  assert.is(device.shown.properties['Operation'], '');
  device.cloud.interfere = undefined;
  await device.call('Reprovision');
  assert.is(running.due?.(), undefined);
  assert.is(device.shown.properties['NextAttempt'], 0n);
});

test('backs off after each failure, and starts again after a success', async () => {
  await using device = await deviceWith({ live: false });
  const at = Date.now();
  device.clock = () => at;
  device.cloud.interfere = () => ({ status: 500 });
  const waits: number[] = [];
  for (const share of [1, 1, 1, 0, 0.5]) {
    device.random = () => share;
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    waits.push(waitMs(device));
  }
  assert.equal(waits, [5000, 10_000, 20_000, 2500, 41_250]);
  device.cloud.interfere = undefined;
  await device.call('Reprovision');
  device.cloud.interfere = () => ({ status: 500 });
  assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
  assert.is(waitMs(device), 3750);
});

test('waits for the Retry-After of the cloud, up to an hour and a fifth', async () => {
  await using device = await deviceWith({ live: false });
  const at = Date.now();
  device.clock = () => at;
  const date = new Date(at + 600_000).toUTCString();
  for (const [retryAfter, least, most] of [
    ['120', 122_500, 144_000],
    ['90000', 3_602_500, 4_320_000],
    // relative to the clock of the cloud, which is ten minutes ahead of this one
    [new Date(at + 900_000).toUTCString(), 299_000, 361_200],
    ['soon', 2500, 40_000],
  ] as const) {
    device.cloud.interfere = () => ({ status: 429, headers: { date, 'retry-after': retryAfter } });
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    const wait = waitMs(device);
    assert.ok(wait >= least && wait <= most, `${retryAfter}: ${wait} is not ${least} to ${most}`);
  }
  device.random = () => 1;
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '90000' } });
  assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
  assert.is(waitMs(device), 4_320_000);
});

test('retries automatically when the time has come', async () => {
  await using device = await deviceWith({ live: false });
  let at = Date.now();
  // a clock that advances by a minute whenever it is read
  device.clock = () => (at += 60_000);
  let refusals = 2;
  device.cloud.interfere = () => (refusals-- > 0 ? { status: 503 } : undefined);
  device.running.onNameAcquired?.();
  await untilState(device, 'provisioned');
  assert.is(device.cloud.registrations(), 3);
});

test('retries a failed Reprovision automatically', async () => {
  await using device = await deviceWith({ live: false });
  await device.call('Provision');
  let at = Date.now();
  device.clock = () => (at += 60_000);
  let refusals = 1;
  device.cloud.interfere = () => (refusals-- > 0 ? { status: 503 } : undefined);
  assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
  await until(10_000, 'another attempt', () => device.cloud.registrations() === 3);
  await until(10_000, 'its success', () => device.shown.properties['LastError'] === '');
});

for (const [what, notBeforeMs, isWaiting] of [
  ['is over', -1000, false],
  ['is an hour and a fifth from now', 4_310_000, true],
  ['is later than a cloud can ask for', 4_321_000, false],
] as const) {
  test(`${isWaiting ? 'sends no request' : 'registers at once'} when the end of a saved refusal ${what}`, async () => {
    await using device = await deviceWith({ live: false });
    const at = Date.now();
    device.clock = () => at;
    device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
    assert.is(await failureOf(device.call('Provision')), 'Unavailable');
    await device.stop();
    device.cloud.interfere = undefined;
    const file = join(device.stateDir, 'refusal.json');
    const notBefore = new Date(at + notBeforeMs).toISOString();
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/"notBefore":"[^"]+"/, `"notBefore":"${notBefore}"`));
    await device.start({ live: false });
    const sentBefore = device.cloud.requests.length;
    const { LastError, NextAttempt, State } = device.shown.properties;
    const outcome = await failureOf(device.call('Provision'));
    if (isWaiting) {
      assert.match(String(LastError), 'HTTP 429');
      assert.equal([NextAttempt, State], [BigInt(at + notBeforeMs) * 1000n, 'failed']);
      assert.equal([outcome, device.cloud.requests.length], ['Unavailable', sentBefore]);
      assert.is(device.running.due?.()?.getTime(), at + notBeforeMs);
    } else {
      assert.equal([LastError, NextAttempt, outcome], ['', 0n, 'no failure']);
    }
  });
}

test('registers when a saved refusal ends while it runs', async () => {
  await using device = await deviceWith({ live: false });
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  await device.stop();
  device.cloud.interfere = undefined;
  const file = join(device.stateDir, 'refusal.json');
  const notBefore = new Date(Date.now() + 400).toISOString();
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/"notBefore":"[^"]+"/, `"notBefore":"${notBefore}"`));
  await device.start();
  await untilState(device, 'provisioned');
});

test('saves a refusal only for a device without an identity, until it has one', async () => {
  await using device = await deviceWith({ live: false });
  const saved = () => readdir(device.stateDir).then((names) => names.includes('refusal.json'));
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  assert.is(await saved(), true);
  device.cloud.interfere = undefined;
  await device.call('Reprovision');
  assert.is(await saved(), false);
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
  assert.is(await saved(), false);
  assert.is((await device.call('Provision')).device.device_id, registrationId);
});

test('applies a saved refusal only to the settings that were refused', async () => {
  await using device = await deviceWith({ live: false });
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  await device.stop();
  device.cloud.interfere = undefined;
  await device.start({ live: false, provisioning: `  registration_id: pump-2` });
  assert.equal([device.shown.properties['LastError'], device.running.due?.()], ['', undefined]);
  assert.is((await device.call('Provision')).device.device_id, 'pump-2');
});

test('makes no automatic attempt after a cancelled one', async () => {
  await using device = await deviceWith({ live: false });
  held(device);
  const attempt = failureOf(device.call('Provision'));
  await until(10_000, 'a request', () => device.cloud.requests.length > 0);
  await device.cancel('');
  assert.is(await attempt, 'Cancelled');
  const { State, NextAttempt, LastError } = device.shown.properties;
  assert.equal([State, NextAttempt, device.running.due?.()], ['failed', 0n, undefined]);
  assert.match(String(LastError), 'Provision of the device was cancelled');
});

test('applies a refusal without Retry-After only while it runs', async () => {
  await using device = await deviceWith({ live: false });
  device.cloud.interfere = () => ({ status: 401 });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  device.cloud.interfere = undefined;
  // nothing was requested: a caller need not wait for the next attempt
  assert.is((await device.call('Provision')).device.device_id, registrationId);
});

test('publishes the skew of its clock, and reports when tokens would be affected', async () => {
  await using device = await deviceWith({ live: false });
  const at = Math.floor(Date.now() / 1000) * 1000;
  device.clock = () => at;
  const { cloud } = device;
  for (const [theirsS, skewS, problem] of [
    [4, 0, ''],
    [-4, 0, ''],
    [5, 5, ''],
    [300, 300, ''],
    [305, 305, "this clock is 305 s behind the cloud's: set it, or tokens are refused"],
    [-305, -305, "this clock is 305 s ahead of the cloud's: set it, or tokens are refused"],
    [-301, -305, "this clock is 305 s ahead of the cloud's: set it, or tokens are refused"],
    [-300, -300, ''],
    [0, 0, ''],
  ] as const) {
    cloud.date = new Date(at + theirsS * 1000);
    await device.call('Reprovision');
    const { ClockSkew, LastError, Health } = device.shown.properties;
    assert.equal([ClockSkew, LastError], [BigInt(skewS) * 1_000_000n, problem], String(theirsS));
    assert.is(Health, problem === '' ? 'ok' : 'degraded');
  }
});

test('applies Retry-After to callers, and never to Reprovision', async () => {
  await using device = await deviceWith({ live: false });
  const at = Date.now();
  device.clock = () => at;
  device.cloud.interfere = () => ({ status: 503, headers: { 'retry-after': '60' } });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  const sentBefore = device.cloud.requests.length;
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  const until = Number(device.shown.properties['NextAttempt']) / 1000;
  device.clock = () => until - 1;
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  assert.is(device.cloud.requests.length, sentBefore);
  device.clock = () => until;
  device.cloud.interfere = undefined;
  assert.is(await failureOf(device.call('Provision')), 'no failure');
});

test('hints at trusted_ca when the server does not verify, and for nothing else', async () => {
  await using device = await deviceWith({ live: false });
  for (const kind of ['server-certificate', 'connection'] as const) {
    device.cloud.interfere = () => {
      const cause = new HttpsFailure(kind, 'X', 'the reason');
      throw new ServiceError('Unavailable', 'dps.example', { cause });
    };
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    const { LastError } = device.shown.properties;
    assert.match(String(LastError), 'dps.example');
    assert.is(/set cloud\.trusted_ca/.test(String(LastError)), kind === 'server-certificate');
  }
});

test('reports another device when the certificate has another name', async () => {
  await using device = await deviceWith({ live: false });
  await device.call('Provision');
  const before = await readFile(join(device.stateDir, 'device.json'), 'utf8');
  await device.certify('pump-2');
  await failureOf(device.call('ListModuleIdentities', { options: { refresh: true } }));
  await until(10_000, 'the other name', () => device.shown.properties['DeviceId'] === 'pump-2');
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  assert.is.not(await readFile(join(device.stateDir, 'device.json'), 'utf8'), before);
});

test('uses the configured name, whatever the certificate contains', async () => {
  await using device = await deviceWith({
    live: false,
    provisioning: `  registration_id: ${registrationId}`,
  });
  await device.call('Provision');
  await device.certify('pump-2');
  await failureOf(device.call('ListModuleIdentities', { options: { refresh: true } }));
  assert.equal([device.running.isBusy?.(), device.shown.properties['LastError']], [false, '']);
});

test('detects at its start that the certificate has another name', async () => {
  await using device = await deviceWith({ live: false });
  await device.call('Provision');
  await device.stop();
  await device.certify('pump-2');
  await device.start();
  await until(10_000, 'the other name', () => device.shown.properties['DeviceId'] === 'pump-2');
});

test('leaves operations without waiting callers to the next process when it stops', async () => {
  await using device = await deviceWith({ live: false });
  held(device);
  await device.call('Reprovision', reprovision);
  const file = join(device.stateDir, 'operations', '@self.json');
  assert.match(await readFile(file, 'utf8'), '"verb":"Reprovision"');
  await device.stop();
  device.cloud.interfere = undefined;
  const sentBefore = device.cloud.registrations();
  await device.start();
  assert.is(device.shown.properties['Operation'], 'Reprovision');
  await untilState(device, 'provisioned');
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  assert.is(device.cloud.registrations(), sentBefore + 1);
  assert.is(
    await failureOf(readFile(file)),
    "not a ServiceError: Error: ENOENT: no such file or directory, open '" + file + "'",
  );
});

test.run();
