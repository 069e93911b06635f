import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  parseSettings,
  restartedByAgent,
  restartPolicyOf,
  settingsJson,
} from '../../../../../src/modules/docker/create-options/create-options.ts';
import { withoutEnginePolicy } from '../../../../../src/modules/docker/create-options/restart-policy.ts';
import {
  restartsAfter,
  restartsUnhealthy,
} from '../../../../../src/modules/supervisor/restart/restart-policy.ts';
import { codeIn } from '../../../../support/failure.ts';

const test = suite('restart policy');

function policy(RestartPolicy?: unknown, restart_policy?: unknown): string {
  const createOptions = { HostConfig: { RestartPolicy } };
  try {
    return restartPolicyOf(parseSettings({ image: 'a', createOptions, restart_policy }));
  } catch (error) {
    return codeIn(error);
  }
}

test('defaults to always', () => {
  assert.is(restartPolicyOf(parseSettings({ image: 'a' })), 'always');
  assert.is(policy({ Name: '' }), 'always');
  assert.is(policy({}), 'always');
  assert.is(policy({ Name: '' }, null), 'always');
});

test('accepts the names of the engine', () => {
  assert.is(policy({ Name: 'no' }), 'never');
  assert.is(policy({ Name: 'always' }), 'always');
  assert.is(policy({ Name: 'unless-stopped' }), 'always');
  assert.is(policy({ Name: 'on-failure', MaximumRetryCount: 3 }), 'on-failure');
  for (const wrong of [{ Name: 'Always' }, { Name: 1 }, 'always', ['always'], { name: 'x' }]) {
    assert.is(policy(wrong), 'InvalidArgs', JSON.stringify(wrong));
  }
});

test('prefers its own names to those of the engine', () => {
  for (const name of ['always', 'on-failure', 'on-unhealthy', 'never']) {
    assert.is(policy({ Name: 'no' }, name), name);
  }
  for (const wrong of ['no', 'unless-stopped', '', 1, {}]) {
    assert.is(policy({ Name: 'no' }, wrong), 'InvalidArgs', JSON.stringify(wrong));
  }
});

test('survives a round trip of the settings', () => {
  const settings = parseSettings({
    image: 'a',
    restart_policy: 'never',
    createOptions: { User: 'x' },
  });
  assert.equal(parseSettings(settingsJson(settings)), settings);
});

test('is never for modules that an agent restarts, unless they have one', () => {
  const policyOf = (RestartPolicy: object | null = null, restart_policy?: string) => {
    const createOptions = { HostConfig: { RestartPolicy } };
    const settings = parseSettings({ image: 'a', createOptions, restart_policy });
    return restartPolicyOf(restartedByAgent(settings));
  };
  assert.is(policyOf(), 'never');
  assert.is(policyOf({ Name: '' }), 'never');
  assert.is(policyOf({ Name: 'always' }), 'always');
  assert.is(policyOf({ Name: 'no' }), 'never');
  assert.is(policyOf(undefined, 'on-failure'), 'on-failure');
});

test('is never passed to the engine, in any spelling', () => {
  const options = {
    User: 'x',
    HostConfig: { Memory: 1, RestartPolicy: { Name: 'always' } },
    hostconfig: { restartpolicy: { Name: 'always' } },
    // a long s, which is an s to engines that fold letters
    'Ho\u017ftConfig': { 'Re\u017ftartPolicy': { Name: 'always' } },
  };
  assert.equal(withoutEnginePolicy(options), {
    User: 'x',
    HostConfig: { Memory: 1 },
    hostconfig: {},
    'Ho\u017ftConfig': {},
  });
});

test('decides what follows an exit and a failing health check', () => {
  const table = [
    ['always', true, true, true],
    ['on-unhealthy', false, true, true],
    ['on-failure', false, true, false],
    ['never', false, false, false],
  ] as const;
  for (const [one, good, bad, unhealthy] of table) {
    const found = [restartsAfter(one, 0), restartsAfter(one, 137), restartsUnhealthy(one)];
    assert.equal(found, [good, bad, unhealthy], one);
  }
});

test.run();
