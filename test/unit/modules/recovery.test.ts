import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container } from '../../../src/modules/engine.ts';
import { Recovery } from '../../../src/modules/recovery.ts';

const test = suite('recovery');
const start = Date.parse('2026-01-01T00:00:00Z');
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const made = { id: '1', ours: true, digest: '', restartCount: 0 };

function at(seconds: number): Date {
  return new Date(start + seconds * 1000);
}

function running(): Container {
  return { ...made, state: { kind: 'running', startedAt: at(0) } };
}

function endedAt(seconds: number): Container {
  const state = { kind: 'exited', exitCode: 1, startedAt: at(0), finishedAt: at(seconds) } as const;
  return { ...made, state };
}

/** At ten seconds past the start. */
function recovery(): Recovery {
  return new Recovery({ name: 'sensor', now: () => at(10), log });
}

test('waits after an end that it saw coming', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  module.seen(endedAt(9), 'started', at(1));
  assert.equal(module.until, at(20));
  module.seen(endedAt(9), 'started', at(1));
  assert.equal(module.until, at(20));
});

test('does not wait after the first end that it sees, nor after one that was made here', () => {
  const module = recovery();
  module.seen(endedAt(2), 'started', at(1));
  assert.is(module.until, undefined);
  module.seen(running(), 'started', at(1));
  module.stopped();
  module.seen(endedAt(3), 'started', at(1));
  assert.is(module.until, undefined);
});

test('does not wait after an end that was before the engine was there', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  module.seen(endedAt(2), 'started', at(3));
  assert.is(module.until, undefined);
  module.seen(endedAt(4), 'started', at(3));
  assert.equal(module.until, at(20));
});

test('does not wait after the end of a module that shall not run', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  module.seen(endedAt(2), 'stopped', at(1));
  assert.is(module.until, undefined);
});

test('does not take it for a failure of the module that it cannot be looked at', () => {
  const module = recovery();
  assert.equal(module.unseen(), at(20));
  assert.equal(module.unseen(), at(30));
  assert.is(module.until, undefined);
  module.seen(running(), 'started', at(1));
  assert.equal(module.unseen(), at(20));
});

test('takes back a failure after which it could not be looked at', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  assert.equal(module.failed(), at(20));
  module.unseen();
  assert.is(module.until, undefined);
  assert.equal(module.failed(), at(20));
  module.seen(running(), 'started', at(1));
  module.unseen();
  assert.equal(module.until, at(20));
});

test.run();
