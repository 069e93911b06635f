import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import {
  moduleResources,
  type StatsEngine,
  StatsSampler,
} from '../../../../src/modules/resources/container-stats.ts';
import { deadline } from '../../../support/deadline.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('container stats');
const never = new AbortController().signal;
const times = { gapMs: 1, oldestMs: 60_000, limitMs: 5_000 };

function sample(id: string, used: number, ofMachine: number): Record<string, unknown> {
  const cpu_stats = {
    cpu_usage: { total_usage: used },
    system_cpu_usage: ofMachine,
    online_cpus: 2,
  };
  return { id, name: `/${id}`, read: `at ${ofMachine}`, cpu_stats, precpu_stats: {} };
}

/** An engine whose processor time goes on from call to call. */
function engineOf(
  answer: (name: string, call: number) => unknown,
): StatsEngine & { calls: number } {
  const engine = {
    calls: 0,
    stats: async (name: string) => {
      const one = await answer(name, engine.calls++);
      return { ...(typeof one === 'object' ? one : {}) };
    },
  };
  return engine;
}

test('compares two samples, and keeps the newest one for the next call', async () => {
  const engine = engineOf((name, call) => sample(name, 100 + call * 50, 1000 + call * 200));
  const sampler = new StatsSampler(engine, times);
  const first = await sampler.read(['a'], never);
  assert.is(engine.calls, 2);
  assert.is(moduleResources('a', first.get('a') ?? {}).cpu, 50);
  assert.is(first.get('a')?.['preread'], 'at 1000');
  const second = await sampler.read(['a'], never);
  assert.is(engine.calls, 3);
  assert.is(second.get('a')?.['preread'], 'at 1200');
});

test('compares with no sample that is too old', async () => {
  const engine = engineOf((name, call) => sample(name, call, call));
  const sampler = new StatsSampler(engine, { ...times, oldestMs: -1 });
  await sampler.read(['a'], never);
  await sampler.read(['a'], never);
  assert.is(engine.calls, 4);
});

test('does not compare with another container of the same name', async () => {
  const engine = engineOf((_name, call) => sample(call === 0 ? 'old' : 'new', 10, 1000 * call + 1));
  const stats = await new StatsSampler(engine, times).read(['a'], never);
  assert.equal(stats.get('a')?.['precpu_stats'], {});
  assert.is(moduleResources('a', stats.get('a') ?? {}).cpu, 0);
});

test('asks for all modules at once', async () => {
  let open = () => {};
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  let waiting = 0;
  const engine: StatsEngine = {
    stats: async (name) => {
      if (++waiting === 3) open();
      await all;
      return sample(name, 1, 1);
    },
  };
  const stats = await deadline(
    10_000,
    new StatsSampler(engine, times).read(['a', 'b', 'c'], never),
    'all',
  );
  assert.is(stats.size, 3);
});

test('asks for many modules without a warning', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  const engine: StatsEngine = {
    stats: async (name, signal) => {
      signal.addEventListener('abort', () => undefined);
      return sample(name, 1, 1);
    },
  };
  const names = Array.from({ length: 50 }, (_one, index) => `m${index}`);
  await new StatsSampler(engine, times).read(names, never);
  await new Promise((resolve) => void setImmediate(resolve));
  process.off('warning', note);
  assert.equal(warnings, []);
});

test('leaves out a module that is missing or does not respond', async () => {
  const engine: StatsEngine = {
    stats: (name, signal) => {
      if (name === 'here') return Promise.resolve(sample(name, 1, 1));
      if (name === 'gone') return Promise.reject(new ServiceError('NotFound', 'gone'));
      return new Promise((_resolve, reject) => {
        const late = () => reject(new ServiceError('Unavailable', 'late'));
        if (signal.aborted) late();
        signal.addEventListener('abort', late);
      });
    },
  };
  const sampler = new StatsSampler(engine, { ...times, limitMs: 50 });
  const stats = await deadline(10_000, sampler.read(['here', 'gone', 'hung'], never), 'the stats');
  assert.equal([...stats.keys()], ['here']);
});

test('evaluates the stats of both versions of cgroups', () => {
  const one = {
    memory_stats: { usage: 1000, limit: 5000, stats: { inactive_file: 300 } },
    networks: { eth0: { rx_bytes: 5, tx_bytes: 7 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
    blkio_stats: {
      io_service_bytes_recursive: [
        { op: 'Read', value: 11 },
        { op: 'write', value: 13 },
        { op: 'Total', value: 24 },
      ],
    },
    pids_stats: { current: 3, limit: 18_446_744_073_709_552_000 },
  };
  assert.equal(moduleResources('a', one), {
    name: 'a',
    cpu: 0,
    memory: 700,
    memoryLimit: 5000,
    received: 6,
    sent: 9,
    read: 11,
    written: 13,
    processes: 3,
  });
  const former = {
    memory_stats: { usage: 10, stats: { total_inactive_file: 4, inactive_file: 1 } },
  };
  assert.is(moduleResources('a', former).memory, 6);
});

test('survives stats of another form', () => {
  for (const stats of [{}, { memory_stats: null, networks: [1], blkio_stats: 'x' }]) {
    assert.is(moduleResources('a', stats).memory, 0);
  }
});

test('compares with no sample of a caller that has left', async () => {
  const leaving = new AbortController();
  let calls = 0;
  const engine: StatsEngine = {
    stats: async (name) => {
      if (++calls === 2) {
        leaving.abort();
        throw new ServiceError('Cancelled', 'the caller has left');
      }
      return sample(name, 100 * calls, 200 * calls);
    },
  };
  const sampler = new StatsSampler(engine, times);
  const left = await sampler.read(['a'], leaving.signal).catch(() => 'left');
  assert.is(left, 'left');
  const stats = await sampler.read(['a'], never);
  assert.is(stats.get('a')?.['preread'], 'at 200', 'the sample before');
});

test.run();
