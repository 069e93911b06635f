import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container } from '../../../../src/modules/docker/engine.ts';
import { Recovery } from '../../../../src/modules/supervisor/restart-backoff.ts';

const test = suite('recovery');
const start = Date.parse('2026-01-01T00:00:00Z');
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const made = {
  id: '1',
  ours: true,
  digest: '',
  restartCount: 0,
  engineRestarts: false,
  unhealthy: false,
};

function at(seconds: number): Date {
  return new Date(start + seconds * 1000);
}

function running(): Container {
  return { ...made, state: { kind: 'running', startedAt: at(0) } };
}

function ended(finishedAt: Date | undefined): Container {
  return { ...made, state: { kind: 'exited', exitCode: 1, startedAt: at(0), finishedAt } };
}

function endedAt(seconds: number): Container {
  return ended(at(seconds));
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

test('knows an end that is the own doing of the module until it runs again', () => {
  const module = recovery();
  module.seen(endedAt(2), 'started', at(1));
  assert.is(module.endedItself, false);
  module.seen(running(), 'started', at(1));
  module.seen(endedAt(3), 'stopped', at(1));
  assert.is(module.endedItself, false);
  module.seen(running(), 'started', at(1));
  module.seen(endedAt(9), 'started', at(1));
  module.seen(endedAt(9), 'started', at(1));
  assert.is(module.endedItself, true);
  module.seen(running(), 'started', at(1));
  assert.is(module.endedItself, false);
  module.seen(endedAt(9), 'started', at(10));
  assert.is(module.endedItself, false);
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

test('forgets what it could not see', () => {
  const module = recovery();
  module.unseen();
  assert.equal(module.unseen(), at(30));
  module.reset();
  assert.equal(module.unseen(), at(20));
});

test('keeps to the wait for a failure when it cannot be looked at', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  assert.equal(module.failed(), at(20));
  module.unseen();
  assert.equal(module.until, at(20));
});

test('waits after every end when the clock was set back since the engine was reached', () => {
  const module = recovery();
  const reachedAt = at(1_000_000);
  for (let round = 1; round <= 50; round++) {
    module.seen(running(), 'started', reachedAt);
    module.seen(endedAt(round), 'started', reachedAt);
    assert.is.not(module.until, undefined);
    module.reset();
  }
});

test('waits after every end of which nobody knows when it was', () => {
  const module = recovery();
  for (let round = 1; round <= 50; round++) {
    module.seen(running(), 'started', at(1));
    module.seen(ended(undefined), 'started', at(1));
    assert.is.not(module.until, undefined);
    module.reset();
    module.started();
    module.seen(ended(undefined), 'started', at(1));
    assert.is.not(module.until, undefined);
    module.reset();
  }
});

test('does not wait after such an end at the first look at an engine that came back', () => {
  const module = recovery();
  module.seen(running(), 'started', at(1));
  module.seen(ended(undefined), 'started', at(3));
  assert.is(module.until, undefined);
  module.started();
  module.seen(ended(undefined), 'started', at(3));
  assert.equal(module.until, at(20));
});

test.run();
