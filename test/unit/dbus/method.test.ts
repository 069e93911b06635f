import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesToText, Method } from '../../../src/dbus/method.ts';
import { variant } from '../../../src/dbus/variant.ts';
import { isServiceError } from '../../../src/errors.ts';
import { nameParsers } from '../../../src/ids.ts';
import { callWith } from '../../support/messages.ts';

const test = suite('dbus method');

const method = new Method('Use', {
  doc: 'Uses.',
  in: { key_id: 's', usages: 'as', data: 'ay' },
  options: { derivation: 'ay', exportable: 'b', replaces: 's' },
  out: { answer: 's', record: 'a{sv}' },
  records: { record: { size: 't' } },
  check: { key_id: 'key-id', data: { maxBytes: 4 }, replaces: 'key-id' },
  authorize: [
    { action: 'a.use', details: ['key_id', 'usages', 'derivation', 'exportable'] },
    {
      action: {
        oneOf: ['a.less', 'a.more'],
        choose: ({ usages }) => (usages ? 'a.more' : 'a.less'),
      },
      details: { id: 'replaces', fixed: () => 'x' },
      when: (text) => text['replaces'] !== '',
    },
  ],
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
  return 'no failure';
}

const data = Buffer.of(1);
const parse = (...body: readonly unknown[]) =>
  method.parse(callWith(method.signature, body), nameParsers);

test('has the signature of its arguments and the options', () => {
  assert.is(method.signature, 'sasaya{sv}');
});

test('shows authorization no detail that is too long', () => {
  const ask = (key: string, usages: readonly string[], derivation: Buffer) =>
    codeOf(() => {
      const args = parse(key, usages, data, { derivation: variant('ay', derivation) });
      method.ask(method.texts(args));
    });
  assert.is(ask('good', ['u'.repeat(1024)], Buffer.alloc(1024, 'a')), 'no failure');
  assert.is(ask('good', ['u'.repeat(1025)], Buffer.alloc(1)), 'LimitsExceeded');
  assert.is(ask('good', [], Buffer.alloc(1025, 'a')), 'LimitsExceeded');
  assert.is(ask('good', [], Buffer.alloc(1024)), 'LimitsExceeded', 'three characters a byte');
});

test('names arguments and options', () => {
  const { values, requestId } = parse('good', ['a'], data, {
    exportable: variant('b', true),
    request_id: variant('s', 'r-1'),
  });
  const { options, ...rest } = values;
  assert.equal(rest, { key_id: 'good', usages: ['a'], data });
  assert.equal({ ...options }, { exportable: true });
  assert.is(requestId, 'r-1');
});

test('refuses bad ids, options included, and sizes above the limit', () => {
  assert.is(
    codeOf(() => parse('good', [], data, {})),
    'no failure',
  );
  assert.is(
    codeOf(() => parse('../bad', [], data, {})),
    'InvalidArgs',
  );
  const replaces = variant('s', '../bad');
  assert.is(
    codeOf(() => parse('good', [], data, { replaces })),
    'InvalidArgs',
  );
  assert.is(
    codeOf(() => parse('good', [], Buffer.alloc(5), {})),
    'LimitsExceeded',
  );
});

test('asks what the call is about, and only that', () => {
  const plain = parse('good', ['sign', 'derive'], data, {});
  assert.equal(method.ask(method.texts(plain)), [
    {
      action: 'a.use',
      details: { key_id: 'good', usages: 'sign,derive', derivation: '', exportable: 'false' },
    },
  ]);
  const more = parse('good', [], data, {
    replaces: variant('s', 'good'),
    derivation: variant('ay', Buffer.from('a b')),
  });
  const [first, second] = method.ask(method.texts(more));
  assert.is(first?.details['derivation'], 'a%20b');
  assert.equal(second, { action: 'a.less', details: { id: 'good', fixed: 'x' } });
});

test('puts results in order, records as variants', () => {
  const { signature, body } = method.reply({ record: { size: 7n }, answer: 'yes' });
  assert.is(signature, 'sa{sv}');
  assert.equal(body, ['yes', { size: variant('t', 7n) }]);
  assert.throws(() => method.reply({ answer: 'yes', record: {} }), /size/);
});

test('shows bytes so that no two of them look alike', () => {
  assert.is(bytesToText(Buffer.from('ab%~ \0\xff', 'latin1')), 'ab%25~%20%00%FF');
  const all = Array.from({ length: 256 }, (_, byte) => bytesToText(Buffer.of(byte)));
  assert.is(new Set(all).size, 256);
});

test.run();
