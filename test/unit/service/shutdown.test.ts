import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { drain, watchForShutdown } from '../../../src/service/shutdown.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite('shutdown of a service');

const idleMs = 10;
/** A multiple of the idle time: a service that has not ended until then stays. */
const longer = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 15 * idleMs));

/** A server with calls, other work, and the state of the shutdown. */
class Rig {
  pendingCalls = 0;
  busy = false;
  reloading = false;
  due: Date | undefined;
  isOver = false;
  abandoned = 0;
  readonly stop = new AbortController();

  readonly server = Object.defineProperty(
    {
      pendingCalls: 0,
      lastActivityAt: 0,
      abandonCalls: () => void this.abandoned++,
    },
    'pendingCalls',
    { get: () => this.pendingCalls },
  );

  /** Watches with the idle time, and returns a function that ends the service. */
  watch(ms = idleMs) {
    const work = { isBusy: () => this.busy, due: () => this.due };
    const rest = { server: this.server, stop: this.stop.signal, isBusy: () => this.reloading };
    const end = watchForShutdown(work, { ...rest, idleMs: ms });
    void end.reached.then(() => (this.isOver = true));
    return end;
  }
}

test('begins after the idle time', async () => {
  const rig = new Rig();
  await deadline(5000, rig.watch().reached, 'the end');
});

test('does not begin while there is a call, an operation, a reload or work due soon', async () => {
  const inMs = (ms: number): Date => new Date(Date.now() + ms);
  const reasons: readonly ((rig: Rig, is: boolean) => void)[] = [
    (rig, is) => (rig.pendingCalls = is ? 1 : 0),
    (rig, is) => (rig.busy = is),
    (rig, is) => (rig.reloading = is),
    (rig, is) => (rig.due = is ? inMs(590_000) : inMs(660_000)),
    (rig, is) => (rig.due = is ? inMs(-1000) : undefined),
  ];
  for (const [at, set] of reasons.entries()) {
    const rig = new Rig();
    set(rig, true);
    const { reached } = rig.watch();
    await longer();
    assert.is(rig.isOver, false, `reason ${at}`);
    set(rig, false);
    await deadline(5000, reached, `the end without reason ${at}`);
  }
});

test('never begins where the idle time is 0, until another one is set', async () => {
  const rig = new Rig();
  const end = rig.watch(0);
  await longer();
  assert.is(rig.isOver, false);
  end.countIdle(idleMs);
  await deadline(5000, end.reached, 'the end');
  const other = new Rig();
  const never = other.watch(5 * idleMs);
  never.countIdle(0);
  await longer();
  assert.is(other.isOver, false);
});

test('begins at once when the service is asked to stop, before and later', async () => {
  const rig = new Rig();
  rig.busy = true;
  const end = rig.watch(0);
  rig.stop.abort();
  await deadline(5000, end.reached, 'the end');
  const stopped = new Rig();
  stopped.stop.abort();
  await deadline(5000, stopped.watch(0).reached, 'the end');
});

/** Drains; `done` is a list that grows when the name is released, and at the end. */
function draining(rig: Rig, onOverdue = (): void => undefined) {
  const done: string[] = [];
  const bus: Pick<Bus, 'releaseName'> = {
    releaseName: (name) => {
      done.push(`released ${name}`);
      return Promise.resolve();
    },
  };
  const drained = drain(
    {
      isBusy: () => rig.busy,
      onOverdue: () => {
        done.push(`overdue ${rig.abandoned}`);
        onOverdue();
      },
    },
    {
      environment: { bus: bus as Bus, stop: rig.stop.signal },
      server: rig.server,
      busName: 'org.example.A',
      isReloading: () => rig.reloading,
    },
  ).then(() => void done.push('over'));
  return { done, drained };
}

test('releases the name first, and waits for calls, operations and reloads', async () => {
  for (const key of ['pendingCalls', 'busy', 'reloading'] as const) {
    const rig = new Rig();
    if (key === 'pendingCalls') rig.pendingCalls = 1;
    else rig[key] = true;
    const { done, drained } = draining(rig);
    await longer();
    assert.equal(done, ['released org.example.A'], key);
    if (key === 'pendingCalls') rig.pendingCalls = 0;
    else rig[key] = false;
    await deadline(5000, drained, 'the drain');
    assert.equal([...done, rig.abandoned], ['released org.example.A', 'over', 0]);
  }
});

test('does not wait for operations when the service is asked to stop', async () => {
  const rig = new Rig();
  rig.busy = true;
  rig.stop.abort();
  await deadline(2500, draining(rig).drained, 'the drain');
  assert.is(rig.abandoned, 0);
});

test('does not abandon the calls that end when they are reported as overdue', async () => {
  const rig = new Rig();
  rig.pendingCalls = 1;
  rig.stop.abort();
  const onOverdue = (): void => void setTimeout(() => (rig.pendingCalls = 0), 10);
  await deadline(9000, draining(rig, onOverdue).drained, 'the drain');
  assert.is(rig.abandoned, 0);
});

test('abandons the calls of a service that is asked to stop, and ends nevertheless', async () => {
  const rig = new Rig();
  rig.pendingCalls = 1;
  rig.stop.abort();
  const { done, drained } = draining(rig);
  await deadline(9000, drained, 'the drain');
  assert.is(rig.abandoned, 1);
  // before the calls are abandoned: their failure then has a reason
  assert.equal(done, ['released org.example.A', 'overdue 0', 'over']);
});

test.run();
