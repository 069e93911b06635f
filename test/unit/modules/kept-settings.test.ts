import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../src/ids.ts';
import { withKept } from '../../../src/modules/kept-settings.ts';
import type { ModuleSource } from '../../../src/modules/module-source.ts';

const test = suite('what an update keeps');
const auth = { username: 'user', password: 'hunter2' };

const source = (image: string, more: Partial<ModuleSource['settings']> = {}): ModuleSource => ({
  name: parseModuleName('sensor'),
  settings: { image, createOptions: {}, auth: undefined, ...more },
  env: { A: '1', B: '2' },
  elevated: false,
});
const present = source('registry.example/a:1', { auth });

test('is nothing unless it is asked for, or there is no module', () => {
  const update = { ...source('registry.example/a:2'), env: {} };
  assert.equal(withKept(update, present, { env: false, auth: false }), update);
  assert.equal(withKept(update, undefined, { env: true, auth: true }), update);
});

test('is each variable that has no new value', () => {
  const update = { ...source('registry.example/a:2'), env: { B: '3', C: '4' } };
  assert.equal(withKept(update, present, { env: true, auth: false }).env, {
    A: '1',
    B: '3',
    C: '4',
  });
});

test('are credentials, for the same registry only', () => {
  const kept = (from: string, to: string, given?: typeof auth) =>
    withKept(source(to, { auth: given }), source(from, { auth }), { env: false, auth: true })
      .settings.auth;
  assert.equal(kept('registry.example/a:1', 'registry.example/b/c:2'), auth);
  assert.equal(kept('registry.example:5000/a', 'registry.example:5000/a:2'), auth);
  assert.equal(kept('library/a:1', 'a:2'), auth);
  assert.equal(kept('localhost/a', 'localhost/b'), auth);
  assert.equal(kept('$upstream/a', '$upstream/b'), auth);
  assert.is(kept('a:1', '$upstream/a:1'), undefined);
  assert.is(kept('$upstream/a', '$upstream:443/a'), undefined);
  const other = { username: 'other', password: 'p' };
  assert.equal(kept('registry.example/a:1', 'registry.example/a:2', other), other);
  for (const elsewhere of [
    'evil.example/a:1',
    'registry.example.evil/a',
    'registry.example:1/a',
    'a',
  ])
    assert.is(kept('registry.example/a:1', elsewhere), undefined, elsewhere);
});

test.run();
