import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MethodDefinition } from '../../../../src/dbus/definition.ts';
import { ArgumentReader } from '../../../../src/dbus/server/method.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { parseSignature } from '../../../../src/dbus/wire/signature.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { codeIn } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus arguments');

const definition: MethodDefinition = {
  doc: 'Takes everything.',
  in: { name: 's', items: 'as', map: 'a{ss}', material: 'ay' },
  options: { count: 'u', size: 't', offset: 'i', small: 'y', flag: 'b', list: 'as', bytes: 'ay' },
  check: { material: { maxBytes: 1 << 20 }, bytes: { maxBytes: 1000 } },
  secretArguments: ['material'],
  authorize: 'public',
};
const reader = new ArgumentReader('Take', definition);

interface Given {
  readonly items?: readonly string[];
  readonly map?: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  readonly options?: Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;
}

function call({ items = [], map = {}, options = {} }: Given): IncomingMessage {
  return callWith(reader.signature, ['n', items, map, Buffer.from('secret'), options]);
}

function outcome(message: IncomingMessage): unknown {
  try {
    return reader.read(message).values.options;
  } catch (error) {
    return codeIn(error);
  }
}

const many = (count: number): readonly string[] => Array.from({ length: count }, () => '');

test('reads arguments and options by their names', () => {
  const options = { flag: variant('b', true), request_id: variant('s', 'r-1') };
  const { values, requestId } = reader.read(call({ items: ['a'], map: { k: 'v' }, options }));
  assert.is(requestId, 'r-1');
  assert.equal({ ...values.options }, { flag: true });
  assert.equal([values['name'], values['items']], ['n', ['a']]);
});

test('accepts an integer of another type whose value is in range', () => {
  const accepted: readonly (readonly [string, string, unknown, unknown])[] = [
    ['count', 'y', 7, 7],
    ['count', 'n', 7, 7],
    ['count', 'x', 7n, 7],
    ['count', 't', 0xffffffffn, 0xffffffff],
    ['count', 'i', 0x7fffffff, 0x7fffffff],
    ['size', 'u', 7, 7n],
    ['size', 'i', 7, 7n],
    ['offset', 't', 7n, 7],
    ['offset', 'x', -0x80000000n, -0x80000000],
    ['small', 'u', 255, 255],
  ];
  for (const [name, type, value, wanted] of accepted) {
    const options = { [name]: variant(type, value) };
    assert.equal(
      { ...(outcome(call({ options })) as object) },
      { [name]: wanted },
      `${name} ${type}`,
    );
  }
});

test('refuses an integer out of range, and any other type', () => {
  const refused: readonly (readonly [string, string, unknown])[] = [
    ['count', 'i', -1],
    ['count', 't', 1n << 32n],
    ['offset', 'u', 0x80000000],
    ['small', 'u', 256],
    ['size', 'x', -1n],
    ['count', 'd', 7],
    ['count', 'b', true],
    ['count', 's', '7'],
    ['count', 'v', variant('u', 7)],
    ['count', 'au', [7]],
    ['flag', 'u', 1],
    ['flag', 'u', 0],
    ['list', 'u', 0],
    ['bytes', 'y', 0],
    ['list', 's', 'a'],
    ['bytes', 's', 'a'],
    ['request_id', 'u', 7],
    ['request_id', 's', 'two words'],
    ['request_id', 's', 'x'.repeat(65)],
    ['request_id', 's', ''],
    ['request_id', 's', 'two\nlines'],
    ['request_id', 's', 'gr\u00fcn'],
  ];
  for (const [name, type, value] of refused) {
    const options = { [name]: variant(type, value) };
    assert.is(outcome(call({ options })), 'InvalidArgs', `${name} ${type}`);
  }
});

test('refuses unknown and duplicate options, whatever their names', () => {
  for (const name of ['other', '__proto__', 'constructor', '', 'Flag']) {
    const options = new Map([[name, variant('b', true)]]);
    assert.is(outcome(call({ options })), 'InvalidArgs', name);
  }
  const twice = call({ options: { flag: variant('b', true), fla9: variant('b', true) } });
  const bytes = twice.reader(0).buffer;
  bytes[bytes.indexOf('fla9') + 3] = 0x67; // g
  assert.is(outcome(twice), 'InvalidArgs');
  const ids = { request_id: variant('s', 'a'), request_i9: variant('s', 'b') };
  const two = call({ options: ids });
  const second = two.reader(0).buffer;
  second[second.indexOf('request_i9') + 9] = 0x64; // d
  assert.is(outcome(two), 'InvalidArgs');
});

test('takes request ids of up to 64 characters', () => {
  const id = '!'.repeat(63).concat('~');
  assert.is(reader.read(call({ options: { request_id: variant('s', id) } })).requestId, id);
});

test('refuses options whose length is wrong', () => {
  const message = call({ options: { flag: variant('b', true) } });
  const bytes = message.reader(0).buffer;
  const lengthAt = bytes.lastIndexOf('flag') - 8;
  assert.is(bytes.readUInt32LE(lengthAt), 16);
  for (const length of [9, 15]) {
    bytes.writeUInt32LE(length, lengthAt);
    assert.is(outcome(message), 'InvalidArgs', `${length}`);
  }
});

test('decodes nothing after the first invalid option', () => {
  const message = call({ options: new Map([['other', variant('as', ['x'])]]) });
  const bytes = message.reader(0).buffer;
  bytes.fill(0xff, bytes.indexOf('other') + 12); // not a valid value of any type
  assert.is(outcome(message), 'InvalidArgs');
});

test('limits the elements of all arrays and dictionaries of a call together', () => {
  const list = (count: number) => ({ list: variant('as', many(count)) });
  assert.is(typeof outcome(call({ items: many(4096) })), 'object');
  assert.is(outcome(call({ items: many(4097) })), 'LimitsExceeded');
  assert.is(typeof outcome(call({ items: many(2000), options: list(2096) })), 'object');
  assert.is(outcome(call({ items: many(2000), options: list(2097) })), 'LimitsExceeded');
  const map = Object.fromEntries(many(97).map((_, at) => [`k${at}`, 'v']));
  assert.is(typeof outcome(call({ items: many(2000), map, options: list(1999) })), 'object');
  assert.is(outcome(call({ items: many(2000), map, options: list(2000) })), 'LimitsExceeded');
});

test('counts the entries of a dictionary, not its keys', () => {
  const entries = new Map(many(4097).map((_, at) => [`${at}`, '']));
  const message = call({ map: entries });
  assert.is(outcome(message), 'LimitsExceeded');
});

test('accepts a body of exactly the declared size, and no larger one', () => {
  assert.ok(reader.maxBodyBytes >= (1 << 20) + 1000 + (64 << 10));
  assert.ok(reader.maxBodyBytes < (1 << 20) + (256 << 10));
  const bare = new ArgumentReader('Bare', { doc: '', in: { name: 's' }, authorize: 'public' });
  assert.is(bare.maxBodyBytes, 64 << 10);
  const bytes = { in: { data: 'ay' }, check: { data: { maxBytes: 1000 } } };
  const some = new ArgumentReader('Bytes', { doc: '', ...bytes, authorize: 'public' });
  assert.is(some.maxBodyBytes, (64 << 10) + 1000);
  const list = new ArgumentReader('List', { doc: '', in: { names: 'as' }, authorize: 'public' });
  assert.is(list.maxBodyBytes, (64 << 10) + 4096 * 32);
  const { header } = call({});
  assert.is(outcome(new IncomingMessage(header, undefined, false)), 'LimitsExceeded');
});

test('does not quote a secret in place of the name of an option, or of its type', () => {
  const message = call({ options: { 'DB_PW=SECRET1': variant('s', '') } });
  assert.throws(
    () => reader.read(message),
    (error: Error) => error.message.startsWith('Take has no option "DB_PW=…"; it has: count,'),
  );
  assert.throws(
    () => parseSignature('pwd=SECRET1'),
    (error: Error) => !/SECRET1/.test(error.message),
  );
});

test('wipes secrets when the call is refused, and on request', () => {
  const copies: Buffer[] = [];
  const from = Buffer.from.bind(Buffer);
  Buffer.from = ((...args: Parameters<typeof from>) => {
    const copy = from(...args);
    copies.push(copy);
    return copy;
  }) as typeof Buffer.from; // it has many signatures
  try {
    outcome(call({ options: new Map([['other', variant('b', true)]]) }));
    const { values } = reader.read(call({}));
    const { material } = values as unknown as { material: Buffer };
    assert.is(material.toString('latin1'), 'secret');
    reader.wipe(values);
    assert.ok(material.every((byte) => byte === 0));
  } finally {
    Buffer.from = from;
  }
  const sixes = copies.filter(({ length }) => length === 6);
  assert.ok(sixes.length >= 2);
  assert.is(sixes.filter((copy) => copy.toString('latin1') === 'secret').length, 2, 'the senders');
});

test('refuses bytes after the last argument', () => {
  const { header } = call({});
  const body = Buffer.concat([call({}).reader(0).buffer, Buffer.of(0)]);
  assert.is(outcome(new IncomingMessage(header, body, true)), 'InvalidArgs');
});

test.run();
