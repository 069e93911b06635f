import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { watchMachine } from '../../../src/service/machine.ts';
import { until } from '../../support/deadline.ts';

const test = suite('problems of the machine');

/** The problems that are shown at a time and among users, and later ones. */
function shown(time: string, users: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) {
  const problems = new Map<string, string>();
  const watch = watchMachine(
    {
      objects: { setProblem: (subject, text) => void problems.set(subject, text) },
      now: () => new Date(time),
      environment,
    },
    { uid: (name) => Promise.resolve(users.includes(name) ? 1 : undefined) },
  );
  watch[Symbol.dispose]();
  return problems;
}

test('are a clock that was never set, with its time and what to do', () => {
  const problem = shown('1970-01-01T00:01:00Z').get('clock') ?? '';
  assert.match(problem, '1970-01-01T00:01:00.000Z');
  assert.match(problem, 'timedatectl');
  assert.ok(shown('2025-12-31T23:59:59Z').get('clock'));
  assert.is(shown('2026-01-01T00:00:00Z').get('clock'), '');
});

test('are users that do not exist, under systemd', async () => {
  const most = ['iotedge-keys', 'iotedge-certificates', 'iotedge-modules'];
  const installed = { INVOCATION_ID: 'a' };
  const problems = shown('2026-11-01T00:00:00Z', most, installed);
  await until(1000, 'the look at users', () => problems.has('users'));
  assert.match(problems.get('users') ?? '', /^no user iotedge-identity, .*systemd-sysusers/);
  const complete = shown('2026-11-01T00:00:00Z', [...most, 'iotedge-identity'], installed);
  await until(1000, 'the look at users', () => complete.has('users'));
  assert.is(complete.get('users'), '');
  const developed = shown('2026-11-01T00:00:00Z', []);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(developed.has('users'), false);
});

test.run();
