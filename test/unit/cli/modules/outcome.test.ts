import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { adviceOn } from '../../../../src/cli/modules/advice.ts';
import { moduleView } from '../../../../src/cli/modules/module-view.ts';
import { failureOf, type Verb } from '../../../../src/cli/modules/outcome.ts';

const test = suite('outcome of an operation on a module');

type Properties = Readonly<Record<string, unknown>>;
const view = (properties: Properties | undefined) =>
  properties && moduleView({ Name: 'sensor', ...properties });
const outcome = (verb: Verb, after: Properties | undefined, before?: Properties) =>
  failureOf(verb, { before: view(before), after: view(after) })?.text;

test('is good when the module is as it was asked for', () => {
  assert.is(outcome('CreateModule', { State: 'created' }), undefined);
  assert.is(outcome('CreateModule', { State: 'created', LastError: 'a warning' }), undefined);
  assert.is(outcome('Start', { State: 'running' }), undefined);
  assert.is(outcome('Start', { State: 'running' }, { State: 'running' }), undefined);
  assert.is(outcome('Restart', { State: 'running' }), undefined);
  for (const State of ['stopped', 'created', 'failed'])
    assert.is(outcome('Stop', { State }), undefined);
  assert.is(outcome('DeleteModule', undefined), undefined);
});

test('is good for a module that has run and ended well meanwhile', () => {
  const before = { State: 'created', StartedAt: '0' };
  assert.is(outcome('Start', { State: 'stopped', StartedAt: '5' }, before), undefined);
  assert.match(
    outcome('Start', { State: 'stopped', StartedAt: '5' }, { State: 'stopped', StartedAt: '5' }) ??
      '',
    /^was not started: it is stopped/,
  );
});

test('is a failure with the reason of the runtime', () => {
  const failed = outcome('CreateModule', { State: 'failed', LastError: 'no such image' });
  assert.is(failed, 'was not created: no such image');
  const after = { State: 'backoff', StartedAt: 5, LastError: 'ended with exit code 3' };
  const ended = outcome('Start', after) ?? '';
  assert.match(ended, /^was not started: ended with exit code 3; the runtime tries again/);
  assert.match(ended, "'iotedgectl modules logs --tail 20 sensor'");
  assert.match(outcome('Stop', { State: 'running' }) ?? '', 'was not stopped: it is running');
  assert.match(outcome('DeleteModule', { State: 'stopping', LastError: 'engine' }) ?? '', 'engine');
  assert.is(outcome('Start', undefined), 'was deleted meanwhile');
});

test('does not point to the log of a module that has never run', () => {
  const after = { State: 'backoff', StartedAt: 0, LastError: 'port is already allocated' };
  assert.is(
    outcome('Start', after),
    'was not started: port is already allocated; the runtime tries again by itself',
  );
  assert.not.match(adviceOn(moduleView({ Name: 'sensor', ...after })), 'logs');
  assert.match(adviceOn(moduleView({ Name: 'sensor', ...after, StartedAt: 5 })), 'logs --tail 20');
});

test('advises to start or change a module that has never run, and to make again what was not created', () => {
  const module = moduleView({ Name: 'sensor', State: 'failed', StartedAt: 0 });
  for (const verb of ['start', 'update', 'delete'])
    assert.match(adviceOn(module), `'iotedgectl modules ${verb} sensor'`);
});

test('of an update is a failure only when the configuration is the old one', () => {
  const before = { State: 'running', ConfigDigest: 'old' };
  assert.is(outcome('UpdateModule', { ...before, ConfigDigest: 'new' }, before), undefined);
  const warned = { ...before, ConfigDigest: 'new', LastError: 'no registry' };
  assert.is(outcome('UpdateModule', warned, before), undefined);
  assert.is(
    outcome('UpdateModule', { ...before, LastError: 'it ended' }, before),
    'was not updated: it ended; the module is as it was, running',
  );
});

test.run();
