import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StartOrder } from '../../../../../src/modules/supervisor/order/start-order.ts';
import type { ModuleState } from '../../../../../src/modules/supervisor/status.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('start order');
type State = ModuleState | 'to be stopped';

/** Modules by name: the state of each, and the modules before it. */
function orderOf(modules: Record<string, readonly [State, ...(readonly string[])]>) {
  const woken: string[] = [];
  const clock = { ms: 0 };
  const order = new StartOrder({
    now: () => new Date(clock.ms),
    log: silentLog,
    longestMs: 5_000,
    modules: () =>
      Object.entries(modules).map(([name, [state, ...startAfter]]) => ({
        name,
        startAfter,
        state: state === 'to be stopped' ? ('starting' as const) : state,
        isToRun: state !== 'to be stopped' && state !== 'stopped',
        wake: () => woken.push(name),
      })),
  });
  return { order, woken, clock, modules };
}

/** What a module waits for, or the warning with which it may start. */
function admitted({ order }: Pick<ReturnType<typeof orderOf>, 'order'>, name: string): string {
  const admission = order.admit(name);
  return admission.waitsFor === undefined
    ? `may start: ${admission.warning}`
    : `waits for ${admission.waitsFor}`;
}

test('lets a module wait while the one before it is about to start', () => {
  for (const state of ['starting', 'pulling', 'unknown'] as const) {
    const modules = orderOf({ hub: [state], sensor: ['starting', 'hub'] });
    assert.is(admitted(modules, 'sensor'), 'waits for hub', state);
    assert.is(admitted(modules, 'hub'), 'may start: ', state);
  }
});

test('does not wait for a module that runs, failed, or is not to run', () => {
  for (const state of ['running', 'backoff', 'failed', 'stopped', 'to be stopped'] as const) {
    const modules = orderOf({ hub: [state], sensor: ['starting', 'hub'] });
    assert.is(admitted(modules, 'sensor'), 'may start: ', state);
  }
});

test('keeps a chain of modules in order', () => {
  const modules = orderOf({
    last: ['starting', 'middle'],
    middle: ['starting', 'first'],
    first: ['starting'],
  });
  assert.is(admitted(modules, 'last'), 'waits for middle');
  assert.is(admitted(modules, 'middle'), 'waits for first');
  modules.modules['first'] = ['running'];
  assert.is(admitted(modules, 'middle'), 'may start: ');
  assert.is(admitted(modules, 'last'), 'waits for middle');
});

test('does not wait for a missing module, and says so', () => {
  const modules = orderOf({ sensor: ['starting', 'absent'] });
  assert.is(admitted(modules, 'sensor'), 'may start: start_after: no module "absent"');
});

test('does not wait in a circle, and says so, but for what is outside of it', () => {
  const modules = orderOf({
    one: ['starting', 'two'],
    two: ['starting', 'three'],
    three: ['starting', 'one', 'outside'],
    self: ['starting', 'self'],
    outside: ['starting'],
    after: ['starting', 'one'],
  });
  const circle = (name: string) => `may start: start_after: "${name}" starts after this module`;
  assert.is(admitted(modules, 'one'), circle('two'));
  assert.is(admitted(modules, 'two'), circle('three'));
  assert.is(admitted(modules, 'three'), 'waits for outside');
  assert.is(admitted(modules, 'self'), circle('self'));
  assert.is(admitted(modules, 'after'), 'waits for one');
});

test('does not wait longer than the limit, and says so', () => {
  const modules = orderOf({ hub: ['pulling'], sensor: ['starting', 'hub'] });
  assert.is(admitted(modules, 'sensor'), 'waits for hub');
  modules.clock.ms = 4_999;
  assert.is(admitted(modules, 'sensor'), 'waits for hub');
  modules.clock.ms = 5_000;
  assert.is(admitted(modules, 'sensor'), 'may start: did not wait longer for "hub"');
  assert.is(admitted(modules, 'sensor'), 'waits for hub', 'the next start has its own limit');
});

test('waits for 5 minutes at most, in which an image can be pulled', () => {
  const sensor = { name: 'sensor', startAfter: ['hub'], state: 'starting', isToRun: true } as const;
  const hub = { name: 'hub', startAfter: [], state: 'pulling', isToRun: true } as const;
  const wake = (): void => undefined;
  const modules = () => [sensor, hub].map((one) => ({ ...one, wake }));
  const order = new StartOrder({ now: () => new Date(0), log: silentLog, modules });
  assert.equal(order.admit('sensor'), { waitsFor: 'hub', until: new Date(300_000) });
});

test('wakes a module when it may start, and none that does not wait', async () => {
  const modules = orderOf({
    hub: ['starting'],
    sensor: ['starting', 'hub'],
    late: ['starting', 'hub', 'sensor'],
    other: ['starting', 'hub'],
  });
  admitted(modules, 'sensor');
  admitted(modules, 'late');
  modules.order.changed();
  await setImmediate();
  assert.equal(modules.woken, []);
  modules.modules['hub'] = ['running'];
  modules.order.changed();
  modules.order.changed();
  await setImmediate();
  assert.equal(modules.woken, ['sensor']);
});

test('waits no longer when the clock is set back, or ahead, by ten years', () => {
  const tenYearsMs = 10 * 365 * 86_400_000;
  for (const jumpMs of [-tenYearsMs, tenYearsMs]) {
    const modules = orderOf({ hub: ['starting'], sensor: ['starting', 'hub'] });
    modules.clock.ms = 2 * tenYearsMs;
    assert.is(admitted(modules, 'sensor'), 'waits for hub');
    modules.clock.ms += jumpMs;
    const now = modules.clock.ms;
    const admission = modules.order.admit('sensor');
    const until = admission.waitsFor === undefined ? new Date(now) : admission.until;
    assert.ok(until.getTime() - now <= 5_000, until.toISOString());
    if (admission.waitsFor === undefined) continue;
    modules.clock.ms += 5_000;
    assert.match(admitted(modules, 'sensor'), /^may start/);
  }
});

test.run();
