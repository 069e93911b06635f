import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesToText } from '../../../../src/dbus/server/authorization-gate.ts';
import { Method } from '../../../../src/dbus/server/method.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { nameParsers } from '../../../../src/ids.ts';
import { codeOf } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

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

const data = Buffer.of(1);
const parse = (...body: readonly unknown[]) =>
  method.parse(callWith(method.signature, body), nameParsers);

test('has the signature of its arguments and the options', () => {
  assert.is(method.signature, 'sasaya{sv}');
});

test('passes no oversized detail to authorization', () => {
  const outcomeOf = (key: string, usages: readonly string[], derivation: Buffer) =>
    codeOf(() => {
      const args = parse(key, usages, data, { derivation: variant('ay', derivation) });
      method.requests.about(method.requests.texts(args.values));
    });
  assert.is(outcomeOf('good', ['u'.repeat(1024)], Buffer.alloc(1024, 'a')), 'no failure');
  assert.is(outcomeOf('good', ['u'.repeat(1025)], Buffer.alloc(1)), 'LimitsExceeded');
  assert.is(outcomeOf('good', [], Buffer.alloc(1025, 'a')), 'LimitsExceeded');
  assert.is(outcomeOf('good', [], Buffer.alloc(1024)), 'LimitsExceeded', 'three characters a byte');
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

test('refuses invalid ids, options included, and sizes above the limit', () => {
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

test('accepts sizes of exactly the limit', () => {
  assert.is(
    codeOf(() => parse('good', [], Buffer.alloc(4), {})),
    'no failure',
  );
});

const checked = new Method('Check', {
  doc: 'Checks.',
  in: { map: 'a{ss}', text: 's', count: 'u', secret: 'ay' },
  options: { word: 's', words: 'as' },
  check: {
    map: { maxBytes: 10 },
    text: { maxBytes: 4 },
    count: { maxValue: 7 },
    word: { oneOf: ['one', 'two'] },
    words: { oneOf: ['one', 'two'] },
  },
  secretArguments: ['secret'],
  authorize: 'public',
});

const given = { map: {}, text: '', count: 0 };
const check = (values: Partial<typeof given>, options: Readonly<Record<string, unknown>> = {}) => {
  const { map, text, count } = { ...given, ...values };
  const body = [map, text, count, Buffer.from('secret'), options];
  return codeOf(() => checked.parse(callWith(checked.signature, body), nameParsers));
};

test('measures texts in bytes, and dictionaries with their keys', () => {
  assert.is(check({ text: 'gr\u00fc' }), 'no failure');
  assert.is(check({ text: 'gr\u00fcn' }), 'LimitsExceeded');
  assert.is(check({ map: { abcde: 'fghij' } }), 'no failure');
  assert.is(check({ map: { abcde: 'fghijk' } }), 'LimitsExceeded');
  assert.is(check({ map: { abcdef: 'fghij' } }), 'LimitsExceeded');
});

test('limits numbers', () => {
  assert.is(check({ count: 7 }), 'no failure');
  assert.is(check({ count: 8 }), 'LimitsExceeded');
});

test('accepts only the words of an enumeration, and not too many of them', () => {
  const word = (value: string) => check({}, { word: variant('s', value) });
  const words = (...values: readonly string[]) => check({}, { words: variant('as', values) });
  assert.equal(
    [word('one'), word('two'), words(), words('two', 'one')],
    Array(4).fill('no failure'),
  );
  for (const wrong of ['', 'One', 'one,two', 'toString']) assert.is(word(wrong), 'InvalidArgs');
  assert.is(words('one', 'three'), 'InvalidArgs');
  assert.equal([word('x'.repeat(64)), word('x'.repeat(65))], ['InvalidArgs', 'LimitsExceeded']);
  const many = Array.from({ length: 150 }, () => 'one');
  assert.is(words(...many), 'no failure');
  assert.is(words(...many, ...many), 'LimitsExceeded');
});

const named = new Method('Named', {
  doc: '',
  in: { key_id: 's', secret: 'ay' },
  options: { issuer: 's' },
  check: { key_id: 'key-id', issuer: 'certificate-id' },
  secretArguments: ['secret'],
  authorize: 'public',
});

test('returns names as their parsers return them, for arguments and options', () => {
  const parsers = { ...nameParsers, 'key-id': upper, 'certificate-id': upper };
  const body = ['a', Buffer.of(1), { issuer: variant('s', 'b') }];
  const { values } = named.parse(callWith(named.signature, body), parsers);
  assert.equal(values, { key_id: 'A', secret: Buffer.of(1), options: { issuer: 'B' } });
  const without = named.parse(callWith(named.signature, ['a', Buffer.of(1), {}]), parsers);
  assert.equal(without.values.options, {});
});

function upper(text: string): string {
  return text.toUpperCase();
}

for (const [what, method, first, code] of [
  ['text', checked, [{}, 'too long', 0], 'LimitsExceeded'],
  ['name', named, ['../x'], 'InvalidArgs'],
] as const) {
  test(`wipes secret arguments when a ${what} beside them is refused`, () => {
    const copies: Buffer[] = [];
    const from = Buffer.from.bind(Buffer);
    Buffer.from = ((...args: Parameters<typeof from>) => {
      const copy = from(...args);
      copies.push(copy);
      return copy;
    }) as typeof Buffer.from; // it has many signatures
    try {
      const call = callWith(method.signature, [...first, Buffer.alloc(6, 'x'), {}]);
      copies.length = 0;
      assert.is(
        codeOf(() => method.parse(call, nameParsers)),
        code,
      );
    } finally {
      Buffer.from = from;
    }
    assert.equal(
      copies.map((copy) => copy.toString('latin1')),
      ['\0'.repeat(6)],
    );
  });
}

test('requires the one authorization that is selected, and refuses a call that selects none', () => {
  const among = {
    x: { action: 'a.x', details: {} },
    y: { action: 'a.y', details: {} },
  };
  const chosen = new Method('Choose', {
    doc: 'Chooses.',
    in: { which: 's' },
    authorize: { among, choose: (text) => text['which'] ?? '' },
  });
  const outcomeOf = (which: string) => {
    const args = chosen.parse(callWith(chosen.signature, [which, {}]), nameParsers);
    return chosen.requests.about(chosen.requests.texts(args.values)).map(({ action }) => action);
  };
  assert.equal([outcomeOf('x'), outcomeOf('y')], [['a.x'], ['a.y']]);
  for (const which of ['', 'z', 'constructor', '__proto__']) {
    assert.throws(() => outcomeOf(which), TypeError, which);
  }
});

test('declares AccessDenied where it requires authorization, and the common errors for every method', () => {
  const open = new Method('Open', { doc: 'Open.', errors: { NotFound: 'x' }, authorize: 'public' });
  const codes = ['AccessDenied', 'InvalidArgs', 'LimitsExceeded', 'Cancelled', 'Failed'] as const;
  assert.equal(
    codes.map((code) => [open.declares(code), method.declares(code)]),
    codes.map((code) => [code !== 'AccessDenied', true]),
  );
  assert.equal(
    [open.declares('NotFound'), method.declares('NotFound'), open.declares('Unavailable')],
    [true, false, false],
  );
});

test('distinguishes methods that wait and methods that only read', () => {
  const made = (more: object) => new Method('M', { doc: 'M.', authorize: 'public', ...more });
  assert.equal(
    [{}, { waits: true }, { long: true }, { reads: true }]
      .map(made)
      .map(({ waits, reads }) => [waits, reads]),
    [
      [false, false],
      [true, false],
      [true, false],
      [false, true],
    ],
  );
});

test('passes the details of the call to authorization, and nothing else', () => {
  const plain = parse('good', ['sign', 'derive'], data, {});
  assert.equal(method.requests.about(method.requests.texts(plain.values)), [
    {
      action: 'a.use',
      details: { key_id: 'good', usages: 'sign,derive', derivation: '', exportable: 'false' },
    },
  ]);
  const more = parse('good', [], data, {
    replaces: variant('s', 'good'),
    derivation: variant('ay', Buffer.from('a b')),
  });
  const [first, second] = method.requests.about(method.requests.texts(more.values));
  assert.is(first?.details['derivation'], 'a%20b');
  assert.equal(second, { action: 'a.less', details: { id: 'good', fixed: 'x' } });
});

test('returns results in order, and records as variants', () => {
  const { signature, body } = method.reply({ record: { size: 7n }, answer: 'yes' });
  assert.is(signature, 'sa{sv}');
  assert.equal(body, ['yes', { size: variant('t', 7n) }]);
  assert.throws(() => method.reply({ answer: 'yes', record: {} }), /size/);
});

test('encodes bytes for authorization without ambiguity', () => {
  assert.is(bytesToText(Buffer.from('ab%~ \0\xff', 'latin1')), 'ab%25~%20%00%FF');
  assert.is(bytesToText(Buffer.of(0x21, 0x7e, 0x7f, 0x0a)), '!~%7F%0A');
  const all = Array.from({ length: 256 }, (_, byte) => bytesToText(Buffer.of(byte)));
  assert.is(new Set(all).size, 256);
});

test.run();
