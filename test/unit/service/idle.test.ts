import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IdleWatch } from '../../../src/service/idle.ts';

const test = suite('idle watch');

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

class Rig {
  idle = 0;
  busy = false;
  lastActivityAt = 0;
  due: Date | undefined;
  readonly watch: IdleWatch;

  constructor(idleMs: number) {
    this.watch = new IdleWatch({
      idleMs,
      isBusy: () => this.busy,
      lastActivityAt: () => this.lastActivityAt,
      due: () => this.due,
      now: () => new Date(1_000_000),
      onIdle: () => void this.idle++,
    });
  }
}

test('notifies once, after the idle time without activity', async () => {
  const rig = new Rig(200);
  await pause(100);
  rig.lastActivityAt = performance.now();
  await pause(150);
  assert.is(rig.idle, 0);
  await pause(400);
  assert.is(rig.idle, 1);
});

test('waits for pending work and for work that is due soon', async () => {
  const rig = new Rig(10);
  rig.busy = true;
  rig.due = new Date(1_000_000 + 600_000);
  await pause(50);
  assert.is(rig.idle, 0);
  rig.busy = false;
  await pause(50);
  assert.is(rig.idle, 0);
  rig.due = new Date(1_000_000 + 600_001);
  await pause(50);
  assert.is(rig.idle, 1);
});

test('never notifies when the time is 0 or it was disposed of', async () => {
  const never = new Rig(0);
  const disposed = new Rig(10);
  disposed.watch[Symbol.dispose]();
  await pause(60);
  assert.equal([never.idle, disposed.idle], [0, 0]);
});

test.run();
