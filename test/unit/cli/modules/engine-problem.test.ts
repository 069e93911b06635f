import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { engineProblem } from '../../../../src/cli/modules/engine-problem.ts';

const test = suite('why the use of no module is reported');
const silent = 'the container engine does not respond';

function problem(reachable: boolean, states: readonly string[], lastError = '') {
  const objects = Object.fromEntries(states.map((State, index) => [`m${index}`, { State }]));
  return engineProblem({ properties: { Engine: { reachable } }, objects, lastError });
}

test('is nothing when no module has a container', () => {
  assert.is(problem(true, []), undefined);
  assert.is(problem(true, ['pulling', 'failed', 'backoff']), undefined);
});

test('is the failure of the engine while it is away', () => {
  assert.is(problem(false, [], 'cannot be reached'), 'cannot be reached');
  assert.is(problem(false, ['unknown']), 'no container engine');
  assert.is(engineProblem({ properties: {}, objects: {}, lastError: '' }), 'no container engine');
});

test('is an engine that does not respond although the runtime has not noticed it', () => {
  assert.is(problem(true, ['failed', 'unknown']), silent);
  assert.is(problem(true, ['running']), silent);
});

test.run();
