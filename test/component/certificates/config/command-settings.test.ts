import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type IssuerYaml,
  parseIssuer,
} from '../../../../src/certificates/config/issuer-settings.ts';
import { configOf } from '../rig.ts';

const test = suite('settings of a command');

function parse(settings: IssuerYaml) {
  const problems: string[] = [];
  const report = (path: readonly (string | number)[], message: string): void => {
    problems.push(`${path.join('.')}: ${message}`);
  };
  const parsed = parseIssuer({ method: 'command', ...settings }, ['issuers', 'x'], { report });
  return { parsed, problems };
}

test('are a program with its arguments, and a deadline', () => {
  assert.equal(parse({ command: ['/usr/bin/a', '-b', ''] }), {
    parsed: { method: 'command', command: ['/usr/bin/a', '-b', ''], timeoutMs: 120_000 },
    problems: [],
  });
  const { parsed } = parse({ command: ['/a'], timeout_s: 5 });
  assert.is(parsed.method === 'command' && parsed.timeoutMs, 5000);
});

test('name the program by its absolute path', () => {
  for (const program of ['a', './a', 'file:///a', '/a/../b', '/a//b', '/a/', '/./a', '']) {
    const [problem = ''] = parse({ command: [program] }).problems;
    assert.match(problem, /^issuers\.x\.command\.0: .* is not the absolute path/, program);
  }
  assert.equal(parse({}).problems, ['issuers.x.method: command needs command']);
});

test('are for this method only, but for the deadline', () => {
  const command = ['/a'];
  assert.equal(parse({ command, url: 'https://a' }).problems, [
    'issuers.x.url: is a setting of the method est',
  ]);
  assert.equal(parse({ method: 'est', url: 'https://a', timeout_s: 3, command }).problems, [
    'issuers.x.command: is a setting of the method command',
  ]);
  assert.equal(parse({ method: 'local_ca', timeout_s: 3 }).problems, [
    'issuers.x.timeout_s: is a setting of the method est or command',
  ]);
});

test('are named by rules of this method', () => {
  const issuers = { hq: { method: 'command', command: ['/a'] } };
  const problemOf = (rule: object, id = 'a') => {
    try {
      configOf({ issuers, certificates: { [id]: rule } });
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  assert.is(problemOf({ method: 'command', issuer: 'hq' }), '');
  assert.match(problemOf({ method: 'command' }), 'command needs issuer');
  assert.match(problemOf({ method: 'est', issuer: 'hq' }), 'has the method command, not est');
  assert.match(problemOf({ issuer: 'hq' }), 'has the method command, not local_ca');
  assert.match(problemOf({ method: 'command', issuer: 'hq' }, 'a@2'), 'can have no certificate');
  assert.match(problemOf({ method: 'command', issuer: 'hq', label: 'l' }), 'is for the method est');
});

test.run();
