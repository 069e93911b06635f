import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ConfigError,
  formatPath,
  formatProblem,
  nearest,
} from '../../../../src/service/config/config-problem.ts';

const test = suite('problems of a configuration');

const problem = { file: '/etc/a.yaml', line: 3, column: 7, path: 'a', message: 'is wrong' };

test('are one line each: the place, the problem, the suggestion', () => {
  assert.is(formatProblem(problem), '/etc/a.yaml:3:7: is wrong');
  const line = formatProblem({ ...problem, suggestion: 'b"c' });
  assert.is(line, '/etc/a.yaml:3:7: is wrong, did you mean "b\\"c"?');
});

test('contain no secret, alone and together', () => {
  const secret = { ...problem, message: 'no key pkcs11:object=a?pin-value=s3cret' };
  assert.not.match(formatProblem(secret), 's3cret');
  assert.not.match(formatProblem({ ...problem, file: '/a?pin-value=s3cret' }), 's3cret');
  const error = new ConfigError([problem, secret]);
  assert.not.match(error.message, 's3cret');
  assert.not.match(JSON.stringify(error.problems), 's3cret');
  assert.is(error.problems[0]?.message, 'is wrong');
  assert.is(error.message.split('\n').length, 2);
});

test('name settings as users write them', () => {
  assert.is(formatPath([]), '');
  assert.is(formatPath(['a', 0, 'b', 'c', 12]), 'a[0].b.c[12]');
  assert.is(formatPath([0, 'a']), '[0].a');
  assert.is(formatPath(['pin-value=s3cret', 'a']), 'pin-value=….a');
});

test('suggest what differs by a few letters: more or fewer, others, two swapped', () => {
  const known = ['log_level', 'idle_exit_s', 'grants', 'ab'];
  for (const [text, expected] of [
    ['log_level', 'log_level'],
    ['lgo_level', 'log_level'],
    ['log_levle', 'log_level'],
    ['loglevel', 'log_level'],
    ['log__level', 'log_level'],
    ['idle_exits', 'idle_exit_s'],
    ['grant', 'grants'],
    ['xrxnts', 'grants'],
    ['xrxxts', undefined],
    ['gr', undefined],
    ['a', 'ab'],
    ['xy', undefined],
    ['', undefined],
    ['something_else_altogether', undefined],
  ] as const) {
    assert.is(nearest(text, known), expected, text);
  }
});

test('suggest the nearest, and the first of two that are equally near', () => {
  assert.is(nearest('abcd', ['abxx', 'abcx', 'abcy']), 'abcx');
  assert.is(nearest('abcd', []), undefined);
  // a swap is one change, two replacements are two
  assert.is(nearest('abcdef', ['xycdef', 'bacdef']), 'bacdef');
  assert.is(nearest('badcef', ['abcdxx', 'abcdef']), 'abcdef');
  // half a swap does not count as one
  assert.is(nearest('abcdef', ['abcdefgh', 'bxcdef']), 'abcdefgh');
  assert.is(nearest('abcdef', ['abcdefgh', 'xacdef']), 'abcdefgh');
});

test('allow a third of a long word to differ', () => {
  const word = 'abcdefghijkl';
  assert.is(nearest(word, ['abcdefgh1234']), 'abcdefgh1234');
  assert.is(nearest(word, ['abcdefg12345']), undefined);
  assert.is(nearest('abcdef', ['abc123']), undefined);
});

test.run();
