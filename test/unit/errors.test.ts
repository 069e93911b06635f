import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  describeError,
  isServiceError,
  notOneOf,
  oneOf,
  ServiceError,
  systemCode,
  unreachable,
} from '../../src/errors.ts';

const test = suite('errors');

test('have a code, a message without secrets and a cause', () => {
  const cause = new Error('why');
  const error = new ServiceError('NotFound', 'no key pkcs11:token=a?pin-value=SECRET1', { cause });
  assert.equal([error.name, error.code, error.cause], ['ServiceError', 'NotFound', cause]);
  assert.not.match(error.message, /SECRET1/);
  assert.match(error.message, /^no key /);
});

test('are distinguished by their codes', () => {
  const error = new ServiceError('NotFound', 'x');
  assert.equal(
    [isServiceError(error), isServiceError(error, 'NotFound'), isServiceError(error, 'Failed')],
    [true, true, false],
  );
  for (const other of [new Error('x'), { code: 'NotFound' }, undefined, 'NotFound']) {
    assert.equal([isServiceError(other), isServiceError(other, 'NotFound')], [false, false]);
  }
});

test('name the valid words', () => {
  assert.is(oneOf('b', 'a letter', ['a', 'b']), 'b');
  for (const wrong of ['c', '', 'A', 'toString']) {
    assert.throws(
      () => oneOf(wrong, 'a letter', ['a', 'b']),
      (error: unknown) =>
        isServiceError(error, 'InvalidArgs') && error.message.endsWith('there is a, b'),
    );
  }
  assert.is(notOneOf('c', 'a letter', new Set(['a'])).message, '"c" is not a letter: there is a');
});

test('are formatted with their causes, once each and without secrets', () => {
  const inner = new Error('EACCES: permission denied');
  const outer = new Error('reading key.json', { cause: inner });
  assert.is(describeError(outer), 'reading key.json: EACCES: permission denied');
  assert.is(describeError(new Error('a: b', { cause: new Error('b') })), 'a: b', 'said already');
  assert.is(describeError(new Error('', { cause: 'text' })), 'text');
  assert.is(describeError({}), 'unknown failure');
  assert.is(describeError(new Error('x', { cause: {} })), 'x: unknown failure');
  const cyclic = new Error('cyclic');
  cyclic.cause = new Error('inner', { cause: cyclic });
  assert.is(describeError(cyclic), 'cyclic: inner');
  assert.not.match(
    describeError(new Error('x', { cause: new Error('pkcs11:token=a?pin-value=SECRET1') })),
    /SECRET1/,
  );
});

test('of the system have a code', () => {
  const refused = Object.assign(new Error('x'), { code: 'ENOENT' });
  assert.is(systemCode(refused), 'ENOENT');
  for (const other of [
    new Error('x'),
    { code: 'ENOENT' },
    undefined,
    Object.assign(new Error('x'), { code: 7 }),
  ]) {
    assert.is(systemCode(other), undefined);
  }
  assert.throws(() => unreachable('x' as never), TypeError);
});

test.run();
