import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorFromWire } from '../../../../../src/dbus/wire/wire-errors.ts';
import { type ErrorCode, isServiceError, ServiceError } from '../../../../../src/errors.ts';
import { type HeldCall, Holds } from '../../../../../src/modules/api/http/hold.ts';
import { RequestQueue } from '../../../../../src/modules/api/http/request-queue.ts';
import { Outage } from '../../../../../src/modules/api/workload/outage.ts';
import { deadline } from '../../../../support/deadline.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('outage of a service');
const limits = { ms: 30_000, most: 64, bytes: 8 << 20 };

function unreachable(): Error {
  return errorFromWire('org.freedesktop.DBus.Error.Spawn.ChildExited', 'exited with 78');
}

function callHeldFor(ms: number, signal = new AbortController().signal): HeldCall {
  const hold = new Holds({ ...limits, ms }).of({ bytes: 0, signal, queue: new RequestQueue(4) });
  return { requestId: 'r', signal, hold };
}

/** Fails the given number of times, then succeeds. */
function failing(times: number, failure: () => Error) {
  const attempts = { made: 0 };
  const attempt = () => {
    attempts.made++;
    return attempts.made > times ? Promise.resolve('works') : Promise.reject(failure());
  };
  return { attempts, attempt };
}

const away = [
  'org.freedesktop.DBus.Error.ServiceUnknown',
  'org.freedesktop.DBus.Error.NameHasNoOwner',
  'org.freedesktop.DBus.Error.NoReply',
  'org.freedesktop.DBus.Error.TimedOut',
  'org.freedesktop.DBus.Error.Timeout',
  'org.freedesktop.DBus.Error.Disconnected',
  'org.freedesktop.DBus.Error.Spawn.ChildExited',
  'org.freedesktop.DBus.Error.Spawn.ExecFailed',
  'org.freedesktop.DBus.Error.Spawn.Failed',
  'org.freedesktop.systemd1.UnitMasked',
  'org.freedesktop.systemd1.LoadFailed',
  'org.freedesktop.DBus.Error.LimitsExceeded',
  'org.iotedge.Error.Unavailable',
  'org.iotedge.Error.NotProvisioned',
  'org.iotedge.Error.Cancelled',
];

for (const name of away) {
  test(`retries after ${name}`, async () => {
    const { attempts, attempt } = failing(1, () => errorFromWire(name, 'not now'));
    assert.is(await new Outage('keys', silentLog).call(callHeldFor(30_000), attempt), 'works');
    assert.is(attempts.made, 2);
  });
}

const final: readonly ErrorCode[] = [
  'AccessDenied',
  'InvalidArgs',
  'NotFound',
  'NotSupported',
  'AlreadyExists',
  'UnknownMethod',
  'Failed',
];

for (const code of final) {
  test(`does not retry after ${code}`, async () => {
    const { attempts, attempt } = failing(1, () => new ServiceError(code, 'no'));
    const call = new Outage('keys', silentLog).call(callHeldFor(30_000), attempt);
    const error = await call.catch((failure: unknown) => failure);
    assert.ok(isServiceError(error, code));
    assert.is(attempts.made, 1);
  });
}

test('rejects with the last failure once the hold time is used up', async () => {
  for (const failure of [unreachable, () => new ServiceError('Unavailable', 'the token is away')]) {
    const { attempts, attempt } = failing(Number.POSITIVE_INFINITY, failure);
    const call = new Outage('keys', silentLog).call(callHeldFor(1_000), attempt);
    const error = await call.catch((thrown: unknown) => thrown);
    assert.ok(isServiceError(error, 'Unavailable'));
    assert.ok(attempts.made >= 2 && attempts.made <= 3, `${attempts.made} attempts`);
  }
});

test('counts concurrent failures as one, and leaves later attempts the remaining time', async () => {
  const outage = new Outage('keys', silentLog);
  const waits: number[] = [];
  const timeouts: (number | undefined)[] = [];
  const call = async () => {
    const held = callHeldFor(30_000);
    const wait = (ms: number) => {
      waits.push(ms);
      return held.hold.wait(ms);
    };
    const { attempt } = failing(1, unreachable);
    return outage.call({ ...held, hold: { ...held.hold, wait } }, ({ timeoutMs }) => {
      timeouts.push(timeoutMs);
      return attempt();
    });
  };
  await Promise.all([call(), call(), call(), call()]);
  assert.ok(waits.length >= 4 && waits.every((ms) => ms <= 500), waits.join());
  assert.is(timeouts.length, 8);
  assert.equal(timeouts.slice(0, 4), [undefined, undefined, undefined, undefined]);
  assert.ok(timeouts.slice(4).every((ms) => ms !== undefined && ms <= 30_000));
});

test('does not start a service more often for requests that arrive while it is unavailable', async () => {
  const outage = new Outage('keys', silentLog);
  let made = 0;
  const attempt = () => {
    made++;
    return Promise.reject(unreachable());
  };
  const first = Array.from({ length: 20 }, () => outage.call(callHeldFor(1_000), attempt));
  await sleep(20);
  const later = Array.from({ length: 20 }, () => outage.call(callHeldFor(1_000), attempt));
  await sleep(20);
  assert.is(made, 20);
  await Promise.allSettled([...first, ...later]);
  assert.ok(made <= 20 + 40, `${made} attempts`);
});

test('serves one key while another one is unavailable', async () => {
  const outage = new Outage('keys', silentLog);
  const { attempt } = failing(2, () => new ServiceError('Unavailable', 'the token is away'));
  const held = outage.call(callHeldFor(30_000), attempt);
  await sleep(50);
  const wait = () => Promise.reject(new Error('it was held'));
  const call = { ...callHeldFor(30_000), hold: { leftMs: () => 30_000, wait } };
  assert.is(await outage.call(call, failing(0, unreachable).attempt), 'works');
  assert.is(await held, 'works');
});

test('aborts when the client disconnects', async () => {
  const client = new AbortController();
  const outage = new Outage('keys', silentLog);
  const { attempts, attempt } = failing(Number.POSITIVE_INFINITY, unreachable);
  const call = outage.call(callHeldFor(30_000, client.signal), attempt);
  await sleep(50);
  client.abort();
  await call.then(
    () => assert.unreachable(),
    () => undefined,
  );
  await sleep(700);
  assert.is(attempts.made, 1);
});

test('limits held requests and their bytes, and frees their queue slots for other requests', async () => {
  const queue = new RequestQueue(1);
  const holds = new Holds({ ms: 30_000, most: 2, bytes: 1000 });
  const client = new AbortController();
  const wait = (bytes: number) =>
    queue.run(() => holds.of({ bytes: bytes, signal: client.signal, queue }).wait(10_000));
  const held = [wait(400), wait(400)];
  await sleep(20);
  assert.match(String(await wait(1).catch(String)), /too many requests/);
  client.abort();
  await Promise.allSettled(held);
  const next = new AbortController();
  const one = queue.run(() => holds.of({ bytes: 900, signal: next.signal, queue }).wait(10_000));
  await sleep(20);
  const over = await queue
    .run(() => holds.of({ bytes: 200, signal: next.signal, queue }).wait(10_000))
    .catch(String);
  assert.match(String(over), /too many requests/);
  next.abort();
  await Promise.allSettled([one]);
});

test('holds a request up to the limit, and not at all after that', async () => {
  const queue = new RequestQueue(1);
  const { signal } = new AbortController();
  const hold = new Holds({ ...limits, ms: 100 }).of({ bytes: 1, signal, queue });
  assert.ok(hold.leftMs() <= 100);
  const longer = new Holds({ ...limits, ms: 60_000 }).of({ bytes: 1, signal, queue });
  assert.ok(longer.leftMs() > 100);
  await deadline(
    10_000,
    queue.run(() => hold.wait(3_600_000)),
    'the end of the hold',
  );
  assert.ok(hold.leftMs() <= 0);
  await deadline(
    10_000,
    queue.run(() => hold.wait(3_600_000)),
    'no hold',
  );
});

test('holds a request for no less than its time, which a timer of Node may', async () => {
  for (let round = 0; round < 10; round++) {
    const queue = new RequestQueue(1);
    const { signal } = new AbortController();
    const hold = new Holds({ ...limits, ms: 1.9 }).of({ bytes: 1, signal, queue });
    await queue.run(() => hold.wait(10_000));
    assert.ok(hold.leftMs() <= 0, `${hold.leftMs()} ms left`);
  }
});

test.run();
