import { once } from 'node:events';
import { addAbortSignal, Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import {
  EngineMonitor,
  type EngineStatus,
} from '../../../../src/modules/supervisor/engine-monitor.ts';
import { EngineUnreachable } from '../../../../src/modules/supervisor/module-type.ts';
import { deadline } from '../../../support/deadline.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite('engine monitor');
const minuteMs = 60_000;
const unreachable = 'unreachable';
const unwatchable = () => Promise.reject(new Error('no watch'));
const never = () => new Promise<never>(() => {});

/**
 * The delays between attempts, and whether the engine counted as steady when it was reached, for connections that last
 * for the given times or fail.
 */
async function reconnections(attempts: readonly (number | typeof unreachable)[]) {
  const delays: number[] = [];
  const steady: boolean[] = [];
  const stop = new AbortController();
  let nowMs = 0;
  const version = () => {
    if (attempts[delays.length] !== unreachable) return Promise.resolve({ name: '', version: '1' });
    return Promise.reject(new ServiceError('Unavailable', 'no socket'));
  };
  const events = (): Readable =>
    new Readable({
      read() {
        nowMs += Number(attempts[delays.length]);
        this.push(null);
      },
    });
  const monitor = new EngineMonitor({
    type: {
      name: 'docker',
      version,
      watch: () => Promise.resolve(events()),
      ping: never,
      appeared: unwatchable,
    },
    log: silentLog,
    now: () => new Date(nowMs),
    onStatus: (status) => {
      if (status.reachable) steady.push(status.steady);
    },
    onInstance: () => {},
    sleep: (delayMs) => {
      if (delays.push(delayMs / 1000) === attempts.length) stop.abort();
      return Promise.resolve();
    },
  });
  await monitor.run(stop.signal);
  return { delays, steady };
}

test('doubles the delay up to 30 s while the engine is unreachable', async () => {
  const { delays, steady } = await reconnections(Array.from({ length: 7 }, () => unreachable));
  assert.equal(delays, [1, 2, 4, 8, 16, 30, 30]);
  assert.equal(steady, []);
});

test('doubles the delay for connections that do not last, which are not steady', async () => {
  const { delays, steady } = await reconnections(Array.from({ length: 7 }, () => minuteMs - 1));
  assert.equal(delays, [1, 2, 4, 8, 16, 30, 30]);
  assert.equal(steady, [true, false, false, false, false, false, false]);
});

test('starts over after a connection that lasted for a minute', async () => {
  const { delays, steady } = await reconnections([0, unreachable, minuteMs, unreachable, 0]);
  assert.equal(delays, [1, 2, 1, 2, 4]);
  assert.equal(steady, [true, false, true]);
});

test('reconnects during the delay when the engine appears', async () => {
  const stop = new AbortController();
  const delays: AbortSignal[] = [];
  let attempts = 0;
  const monitor = new EngineMonitor({
    type: {
      name: 'docker',
      version: () => {
        if (++attempts === 3) stop.abort();
        return Promise.reject(new ServiceError('Unavailable', 'no socket'));
      },
      watch: never,
      ping: never,
      appeared: () => Promise.resolve(),
    },
    log: silentLog,
    now: () => new Date(0),
    onStatus: () => {},
    onInstance: () => {},
    sleep: (_, signal) => {
      delays.push(signal);
      return never();
    },
  });
  await deadline(10_000, monitor.run(stop.signal), 'the attempts');
  assert.equal(
    delays.map(({ aborted }) => aborted),
    [true, true],
  );
});

/**
 * The statuses of an engine whose stream of events stays open, and which responds to pings as given, and once more without.
 */
async function pinged(responses: readonly ('none' | 'some')[]) {
  const stop = new AbortController();
  const statuses: EngineStatus[] = [];
  const rest = [...responses];
  let connections = 0;
  const monitor = new EngineMonitor({
    type: {
      name: 'docker',
      version: () => Promise.resolve({ name: 'engine', version: String(++connections) }),
      watch: (signal) => Promise.resolve(addAbortSignal(signal, new Readable({ read() {} }))),
      ping: async (signal) => {
        const response = rest.shift();
        if (response === 'some') return;
        if (response === undefined) stop.abort();
        signal.throwIfAborted();
        await once(signal, 'abort');
        throw new EngineUnreachable('Unavailable', 'no response');
      },
      appeared: unwatchable,
    },
    log: silentLog,
    now: () => new Date(0),
    onStatus: (status) => void statuses.push(status),
    onInstance: () => {},
    pings: { everyMs: 1, limitMs: 1 },
  });
  // the timers of the monitor keep no process alive
  const alive = setInterval(() => {}, minuteMs);
  try {
    await deadline(10_000, monitor.run(stop.signal), 'the pings');
  } finally {
    clearInterval(alive);
  }
  assert.is(connections, 1);
  return statuses;
}

test('reports an engine that hangs, and that it responds again, without another connection', async () => {
  const [reached, ...statuses] = await pinged(['some', 'none', 'none', 'none', 'some', 'some']);
  const lost = { ...reached, reachable: false, error: 'no response' };
  assert.equal(statuses, [lost, { ...reached, steady: false }]);
});

test('does not report single pings without a response', async () => {
  const statuses = await pinged(['none', 'some', 'none', 'some']);
  assert.equal(
    statuses.map(({ reachable }) => reachable),
    [true],
  );
});

test.run();
