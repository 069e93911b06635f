import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { managerProperties } from '../../../src/modules/properties.ts';
import type { ModuleStatus } from '../../../src/modules/supervisor/status.ts';

const test = suite('manager properties');
const engine = {
  name: 'docker',
  version: '1',
  reachable: true,
  steady: true,
  reachedAt: undefined,
  error: '',
};
const status: ModuleStatus = {
  goal: 'started',
  state: 'backoff',
  instance: undefined,
  known: true,
  step: undefined,
  progress: 0,
  progressText: '',
  restartCount: 0,
  restartReason: '',
  retryAt: undefined,
  error: 'no identity',
  note: '',
  pullWarning: '',
  orderWarning: '',
  failed: false,
};
const agent = { name: 'edgeAgent', status };

test('join all problems', () => {
  const problems = ['a.json is damaged', 'b.json is damaged'];
  const { Health, LastError } = managerProperties({
    engine,
    problems,
    agent,
    agentName: 'edgeAgent',
  });
  assert.is(Health, 'degraded');
  assert.is(LastError, 'a.json is damaged; b.json is damaged; module "edgeAgent": no identity');
});

test('report an unavailable engine once', () => {
  const away = { ...engine, reachable: false, error: 'no engine (ENOENT)' };
  const unseen = { ...agent, status: { ...status, known: false, error: 'no engine (ECONNRESET)' } };
  const { LastError } = managerProperties({
    engine: away,
    problems: ['x'],
    agent: unseen,
    agentName: 'edgeAgent',
  });
  assert.is(LastError, 'no engine (ENOENT); x');
});

test.run();
