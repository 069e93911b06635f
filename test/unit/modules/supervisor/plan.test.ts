import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  Instance,
  InstanceSpec,
  InstanceState,
  ResolvedSpec,
} from '../../../../src/modules/supervisor/module-type.ts';
import {
  type Desired,
  plan as planned,
  type Step,
} from '../../../../src/modules/supervisor/plan.ts';

const test = suite('plan');
const at = new Date('2026-01-01T00:00:00Z');
const end = { exitCode: 1, startedAt: at, finishedAt: at };

const states: Readonly<Record<InstanceState['kind'], InstanceState>> = {
  created: { kind: 'created' },
  running: { kind: 'running', startedAt: at },
  paused: { kind: 'paused', startedAt: at },
  restarting: { kind: 'restarting', ...end },
  exited: { kind: 'exited', ...end },
  removing: { kind: 'removing' },
  dead: { kind: 'dead' },
  unknown: { kind: 'unknown' },
};

function instance(kind: InstanceState['kind'], changes: Partial<Instance> = {}): Instance {
  return {
    id: 'c',
    ours: true,
    digest: 'new',
    state: states[kind],
    restartCount: 0,
    autoRestarts: false,
    unhealthy: false,
    ...changes,
  };
}

/** The steps for a module without an update. */
function plan(found: Instance | undefined, desired: Desired): readonly Step[] {
  return planned({ instance: found, parked: undefined }, desired);
}

const missing = () => Promise.reject(new Error('not called'));
const spec: InstanceSpec = {
  digest: 'new',
  resolve: missing,
  pull: missing,
  start: missing,
};
const resolved: ResolvedSpec = { create: missing };
const absent: Desired = { kind: 'absent' };
const stopped: Desired = { kind: 'present', spec, resolved, run: 'stopped' };
const running: Desired = { kind: 'present', spec, resolved, run: 'running' };
const ended: Desired = { kind: 'present', spec, resolved, run: 'ended' };

const beforePull = (desired: Desired): Desired =>
  desired.kind !== 'present' ? desired : { ...desired, resolved: undefined };

/** The kinds of all steps, with those that follow a pull. */
function steps(found: Instance | undefined, desired: Desired, isPulled = true): string {
  const all = plan(found, isPulled ? desired : beforePull(desired));
  const kinds = all.map((step) => step.kind);
  if (!kinds.includes('pull')) return kinds.join(' ');
  assert.equal(all, [{ kind: 'pull', spec }]);
  return `pull ${steps(found, desired)}`;
}

/** By state of the instance: the steps to absent, stopped, running, ended, and from another configuration. */
const table: Readonly<Record<InstanceState['kind'], readonly [string, string, string, string]>> = {
  created: ['remove', '', 'start', ''],
  running: ['stop remove', 'stop', '', ''],
  paused: ['stop remove', 'stop', 'unpause', ''],
  restarting: ['stop remove', 'stop', '', ''],
  exited: ['remove', '', 'start', ''],
  removing: ['remove', 'remove create', 'remove create start', 'remove create'],
  dead: ['remove', 'remove create', 'remove create start', 'remove create'],
  unknown: ['stop remove', 'stop', '', ''],
};

for (const [kind, [toAbsent, toStopped, toRunning, toEnded]] of Object.entries(table)) {
  const found = instance(kind as InstanceState['kind']); // keys of the table
  test(`plans the steps from ${kind} to every desired state`, () => {
    assert.is(steps(found, absent), toAbsent);
    assert.is(steps(found, stopped), toStopped);
    assert.is(steps(found, running), toRunning);
    assert.is(steps(found, ended), toEnded);
  });

  test(`needs no pull to keep an instance that is ${kind}`, () => {
    const expected = toRunning.includes('create') ? `pull ${toRunning}` : toRunning;
    assert.is(steps(found, running, false), expected);
    assert.is(steps(found, absent, false), toAbsent);
  });

  test(`replaces an instance that is ${kind} and of another specification, after a pull`, () => {
    const other = { ...found, digest: 'old' };
    assert.is(steps(other, running), `${toAbsent} create start`);
    assert.is(steps(other, stopped), `${toAbsent} create`);
    assert.is(steps(other, running, false), `pull ${toAbsent} create start`);
    assert.is(steps(other, absent), toAbsent);
  });

  test(`never stops or removes a foreign instance that is ${kind}`, () => {
    const foreign = { ...found, ours: false };
    assert.is(steps(foreign, absent), '');
    assert.is(steps(foreign, stopped), 'create');
    assert.is(steps(foreign, running, false), 'pull create start');
  });
}

test('creates a missing instance', () => {
  assert.is(steps(undefined, absent), '');
  assert.is(steps(undefined, stopped), 'create');
  assert.is(steps(undefined, running), 'create start');
  assert.is(steps(undefined, ended), 'create');
  assert.is(steps(undefined, running, false), 'pull create start');
});

test('carries the specification in the steps for it, and the id of the observed instance in the others', () => {
  const old = instance('running', { digest: 'old' });
  assert.equal(plan(old, running), [
    { kind: 'stop', id: 'c' },
    { kind: 'remove', id: 'c' },
    { kind: 'create', spec: resolved },
    { kind: 'start', spec },
  ]);
});

test('reaches every desired state from every state, one step at a time', () => {
  for (const kind of Object.keys(table)) {
    for (const desired of [absent, stopped, running, ended]) {
      for (const digest of ['new', 'old']) {
        const from = instance(kind as InstanceState['kind'], { digest }); // keys of the table
        assert.is(settle(from, desired), '', `${kind} ${digest} to ${desired.kind}`);
      }
    }
  }
});

/** Applies first steps until none is left; returns the rest after ten of them. */
function settle(from: Instance | undefined, desired: Desired): string {
  let found = from;
  let isPulled = false;
  for (let count = 0; count < 10; count++) {
    const [step] = plan(found, isPulled ? desired : beforePull(desired));
    switch (step?.kind) {
      case undefined:
        return '';
      case 'pull':
        isPulled = true;
        break;
      case 'create':
        found = instance('created');
        break;
      case 'remove':
        found = undefined;
        break;
      case 'stop':
        found = instance('exited', found);
        found = { ...found, state: states.exited };
        break;
      case 'start':
      case 'unpause':
        found = instance('running');
        break;
      default:
        throw new Error('a step of an update');
    }
  }
  return steps(found, desired);
}

test('stops a parked or a bad instance that runs, before anything else', () => {
  const other = instance('running', { id: 'other' });
  const found = instance('running', { digest: 'old' });
  for (const desired of [absent, stopped, running, ended]) {
    for (const beside of [
      { parked: other, bad: undefined },
      { parked: undefined, bad: other },
    ]) {
      const all = planned({ instance: found, ...beside }, desired);
      assert.equal(all, [{ kind: 'stop', id: 'other' }]);
    }
  }
});

test.run();
