import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container, ContainerState } from '../../../../src/modules/docker/engine.ts';
import { type Desired, plan } from '../../../../src/modules/supervisor/plan.ts';

const test = suite('plan');
const at = new Date('2026-01-01T00:00:00Z');
const end = { exitCode: 1, startedAt: at, finishedAt: at };

const states: Readonly<Record<ContainerState['kind'], ContainerState>> = {
  created: { kind: 'created' },
  running: { kind: 'running', startedAt: at },
  paused: { kind: 'paused', startedAt: at },
  restarting: { kind: 'restarting', ...end },
  exited: { kind: 'exited', ...end },
  removing: { kind: 'removing' },
  dead: { kind: 'dead' },
  unknown: { kind: 'unknown' },
};

function container(kind: ContainerState['kind'], changes: Partial<Container> = {}): Container {
  return {
    id: 'c',
    ours: true,
    digest: 'new',
    state: states[kind],
    restartCount: 0,
    engineRestarts: false,
    unhealthy: false,
    ...changes,
  };
}

function steps(found: Container | undefined, desired: Desired, imagePresent = true): string {
  return plan({ container: found, imagePresent }, desired)
    .map((step) => step.kind)
    .join(' ');
}

const absent: Desired = { kind: 'absent' };
const stopped: Desired = { kind: 'present', digest: 'new', run: 'stopped' };
const running: Desired = { kind: 'present', digest: 'new', run: 'running' };
const ended: Desired = { kind: 'present', digest: 'new', run: 'ended' };

/** By state of the container: the steps to absent, stopped, running, ended, and from another configuration. */
const table: Readonly<Record<ContainerState['kind'], readonly [string, string, string, string]>> = {
  created: ['remove', '', 'start', ''],
  running: ['stop remove', 'stop', '', ''],
  paused: ['stop remove', 'stop', '', ''],
  restarting: ['stop remove', 'stop', '', ''],
  exited: ['remove', '', 'start', ''],
  removing: ['remove', 'remove create', 'remove create start', 'remove create'],
  dead: ['remove', 'remove create', 'remove create start', 'remove create'],
  unknown: ['stop remove', 'stop', '', ''],
};

for (const [kind, [toAbsent, toStopped, toRunning, toEnded]] of Object.entries(table)) {
  const found = container(kind as ContainerState['kind']); // keys of the table
  test(`goes from ${kind} to every desired state`, () => {
    assert.is(steps(found, absent), toAbsent);
    assert.is(steps(found, stopped), toStopped);
    assert.is(steps(found, running), toRunning);
    assert.is(steps(found, ended), toEnded);
  });

  test(`needs no image to keep a container that is ${kind}`, () => {
    const expected = toRunning.includes('create') ? `pull ${toRunning}` : toRunning;
    assert.is(steps(found, running, false), expected);
    assert.is(steps(found, absent, false), toAbsent);
  });

  test(`replaces a container that is ${kind} and of another configuration, fetching first`, () => {
    const other = { ...found, digest: 'old' };
    assert.is(steps(other, running), `${toAbsent} create start`);
    assert.is(steps(other, stopped), `${toAbsent} create`);
    assert.is(steps(other, running, false), `pull ${toAbsent} create start`);
    assert.is(steps(other, absent), toAbsent);
  });

  test(`never stops or removes a container of somebody else that is ${kind}`, () => {
    const foreign = { ...found, ours: false };
    assert.is(steps(foreign, absent), '');
    assert.is(steps(foreign, stopped), 'create');
    assert.is(steps(foreign, running, false), 'create start');
  });
}

test('makes what is not there', () => {
  assert.is(steps(undefined, absent), '');
  assert.is(steps(undefined, stopped), 'create');
  assert.is(steps(undefined, running), 'create start');
  assert.is(steps(undefined, ended), 'create');
  assert.is(steps(undefined, running, false), 'pull create start');
});

test('comes to an end from everywhere, one step at a time', () => {
  for (const kind of Object.keys(table)) {
    for (const desired of [absent, stopped, running, ended]) {
      for (const digest of ['new', 'old']) {
        const from = container(kind as ContainerState['kind'], { digest }); // keys of the table
        assert.is(settle(from, desired), '', `${kind} ${digest} to ${JSON.stringify(desired)}`);
      }
    }
  }
});

/** Applies first steps until nothing is to be done; answers what is left after ten of them. */
function settle(from: Container | undefined, desired: Desired): string {
  let found = from;
  let imagePresent = false;
  for (let count = 0; count < 10; count++) {
    const [step] = plan({ container: found, imagePresent }, desired);
    switch (step?.kind) {
      case undefined:
        return '';
      case 'pull':
        imagePresent = true;
        break;
      case 'create':
        found = container('created');
        break;
      case 'remove':
        found = undefined;
        break;
      case 'stop':
        found = container('exited', found);
        found = { ...found, state: states.exited };
        break;
      case 'start':
        found = container('running');
        break;
    }
  }
  return steps(found, desired);
}

test.run();
