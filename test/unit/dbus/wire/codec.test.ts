import { createRequire } from 'node:module';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readersOf, writersOf } from '../../../../src/dbus/wire/codec.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { Message } from '../../../../src/dbus/wire/message.ts';
import { parseFixedHeader, WireReader } from '../../../../src/dbus/wire/reader.ts';
import { Variant, variant } from '../../../../src/dbus/wire/variant.ts';
import { WireWriter } from '../../../../src/dbus/wire/writer.ts';
import { numbers } from '../../../support/numbers.ts';
import { runs } from '../../../support/property.ts';
import { appendMessage, receive } from '../../../support/wire/messages.ts';

const test = suite('dbus codec');

type Marshal = (signature: string, body: readonly unknown[], offset: number) => Buffer;
const marshal = createRequire(import.meta.url)('dbus-next/lib/marshall.js') as Marshal; // untyped

interface Sample {
  readonly signature: string;
  readonly values: readonly unknown[];
  /** The same values for dbus-next's marshaller: variants and entries as pairs. */
  readonly pairs?: readonly unknown[];
}

const samples: readonly Sample[] = [
  { signature: 'y', values: [255] },
  { signature: 'b', values: [true] },
  { signature: 'n', values: [-32768] },
  { signature: 'q', values: [65535] },
  { signature: 'i', values: [-2147483648] },
  { signature: 'u', values: [4294967295] },
  { signature: 'x', values: [-9007199254740993n] },
  { signature: 't', values: [18446744073709551615n] },
  { signature: 'd', values: [-1.5e-300] },
  { signature: 's', values: ['grün 🔑'] },
  { signature: 'o', values: ['/org/iotedge/Keys1'] },
  { signature: 'g', values: ['a{sv}'] },
  { signature: 'as', values: [['one', '', 'three']] },
  { signature: 'at', values: [[]] },
  { signature: 'ax', values: [[1n, -1n]] },
  { signature: 'ay', values: [Buffer.from('bytes')], pairs: [Buffer.from('bytes')] },
  { signature: '(yxs)', values: [[1, 2n, 'three']] },
  { signature: 'a(sb)', values: [[['a', true]]] },
  { signature: 'aad', values: [[[0.5], [], [1, 2]]] },
  {
    signature: 'a{ss}',
    values: [{ a: 'b', c: 'd' }],
    pairs: [
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
  },
  { signature: 'v', values: [variant('s', 'inner')], pairs: [['s', 'inner']] },
  { signature: 'v', values: [variant('v', variant('u', 7))], pairs: [['v', ['u', 7]]] },
  {
    signature: 'sa{sv}y',
    values: ['x', { n: variant('t', 5n), list: variant('as', ['q']) }, 9],
    pairs: [
      'x',
      [
        ['n', ['t', 5n]],
        ['list', ['as', ['q']]],
      ],
      9,
    ],
  },
  {
    signature: 'a{oa{sa{sv}}}',
    values: [{ '/a': { 'b.c': { D: variant('b', false) } } }],
    pairs: [[['/a', [['b.c', [['D', ['b', false]]]]]]]],
  },
];

function write(signature: string, values: readonly unknown[], offset = 0): Buffer {
  const writer = new WireWriter(16);
  for (let at = 0; at < offset; at++) writer.byte(0);
  writersOf(signature).forEach((writeValue, at) => writeValue(writer, values[at]));
  return writer.buffer.subarray(offset, writer.position);
}

function read(signature: string, bytes: Buffer, offset = 0): readonly unknown[] {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]);
  const reader = new WireReader(whole, offset, { littleEndian: true, maxElements: 100_000 });
  return readersOf(signature).map((readValue) => readValue(reader));
}

/** Null prototypes become plain objects: uvu compares prototypes too. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (value instanceof Variant) return [value.signature, plain(value.value)];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value).map(([key, item]) => [key, plain(item)]);
}

function refusal(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

for (const { signature, values, pairs = values } of samples) {
  test(`writes ${signature} as dbus-next does, at every alignment, and reads it back`, () => {
    for (const offset of [0, 1, 2, 4, 8, 12]) {
      const bytes = write(signature, values, offset);
      assert.equal([...bytes], [...marshal(signature, pairs, offset)], `offset ${offset}`);
      assert.equal(plain(read(signature, bytes, offset)), plain(values), `offset ${offset}`);
    }
  });
}

test('writes and reads the smallest 64-bit integer', () => {
  assert.equal(read('x', write('x', [-(1n << 63n)])), [-(1n << 63n)]);
});

test('encodes a Map as a dictionary, and keys that are not strings', () => {
  const bytes = write('a{us}', [new Map([[7, 'seven']])]);
  assert.equal(plain(read('a{us}', bytes)), [[['7', 'seven']]]);
});

test('reads __proto__ and constructor as keys like any other', () => {
  const entries = new Map([
    ['__proto__', variant('a{sv}', new Map([['polluted', variant('b', true)]]))],
    ['constructor', variant('s', 'x')],
  ]);
  const [dictionary] = read('a{sv}', write('a{sv}', [entries]));
  assert.is(Object.getPrototypeOf(dictionary), null);
  assert.equal(Object.keys(dictionary as object), ['__proto__', 'constructor']);
  assert.is(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('copies bytes, so that the message can be released', () => {
  const bytes = write('ay', [Buffer.from('secret')]);
  const [value] = read('ay', bytes) as [Buffer];
  bytes.fill(0);
  assert.is(value.toString(), 'secret');
});

test('refuses values that do not match the signature', () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ['y', 256],
    ['y', -1],
    ['y', 1.5],
    ['b', 1],
    ['n', 32768],
    ['q', -1],
    ['i', 2147483648],
    ['u', -1],
    ['u', 0x1_0000_0000],
    ['u', '1'],
    ['u', undefined],
    ['x', 1n << 63n],
    ['x', -(1n << 63n) - 1n],
    ['t', 1n << 64n],
    ['t', -1n],
    ['t', 1.5],
    ['d', '1'],
    ['s', 1],
    ['s', undefined],
    ['s', 'a\0b'],
    ['o', 'no path'],
    ['o', ''],
    ['g', 'zz'],
    ['v', 'bare'],
    ['v', variant('', undefined)],
    ['v', variant('ss', ['a', 'b'])],
    ['v', variant('ss', 'a')],
    ['ay', 'text'],
    ['ay', [1, 2]],
    ['as', 'text'],
    ['a{sv}', undefined],
    ['a{sv}', { a: 1 }],
    ['(ss)', ['one']],
    ['(ss)', ['one', 'two', 'three']],
    ['h', 0],
  ];
  for (const [signature, value] of wrong) {
    const error = refusal(() => write(signature, [value]));
    assert.instance(error, TypeError, `${signature} ${String(value)}`);
  }
});

test('leaves the writer unchanged when a message cannot be written', () => {
  const writer = new WireWriter(16);
  const call = { path: '/a', member: 'M', signature: 'sv' };
  appendMessage(writer, new Message({ ...call, serial: 1, body: ['a', variant('u', 1)] }));
  const before = writer.position;
  const deep = Array.from({ length: 70 }).reduce<Variant>(
    (inner) => variant('v', inner),
    variant('u', 1),
  );
  const bad = [['a', 7], ['a', deep], ['only one'], ['a', variant('u', 1), 'one too many']];
  for (const body of bad) {
    assert.ok(refusal(() => appendMessage(writer, new Message({ ...call, serial: 2, body }))));
    assert.is(writer.position, before);
  }
  appendMessage(writer, new Message({ ...call, serial: 3, body: ['a', variant('u', 1)] }));
  assert.is(receive(writer.buffer.subarray(before, writer.position))?.header.serial, 3);
});

test('leaves nothing of a message that cannot be written, and writes the next one in its place', () => {
  const writer = new WireWriter(4096);
  writer.buffer.fill(0);
  const call = { path: '/a', member: 'M', signature: 'ays', serial: 1 };
  const secret = Buffer.from('a secret');
  assert.ok(refusal(() => appendMessage(writer, new Message({ ...call, body: [secret, 7] }))));
  assert.not(writer.buffer.includes(secret));
  for (const text of ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg']) {
    const start = writer.position;
    const size = appendMessage(writer, new Message({ ...call, body: [secret, text] }));
    assert.is(writer.position, start + size);
    const bytes = Buffer.from(writer.buffer.subarray(start, writer.position));
    assert.equal(plain(receive(bytes)?.decode(0)), plain([secret, text]));
  }
});

function message(signature: string, values: readonly unknown[]): Buffer {
  const writer = new WireWriter(64);
  const fields = { path: '/org/iotedge/Keys1', interface: 'org.iotedge.Keys1', member: 'Sign' };
  const header = { ...fields, destination: 'org.iotedge.Keys1', serial: 0xfffffffe, flags: 5 };
  appendMessage(writer, new Message({ ...header, signature, body: values }));
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

test('reads the header that it wrote', () => {
  const bytes = message('su', ['text', 7]);
  const header = receive(bytes)?.header;
  assert.is((header?.headerBytes ?? 0) + (header?.bodyBytes ?? 0), bytes.length);
  const { type, flags, serial, path, interface: name, member, destination } = header ?? {};
  assert.equal(
    { type, flags, serial, path, name, member, destination },
    {
      type: 1,
      flags: 5,
      serial: 0xfffffffe,
      path: '/org/iotedge/Keys1',
      name: 'org.iotedge.Keys1',
      member: 'Sign',
      destination: 'org.iotedge.Keys1',
    },
  );
});

/** A big-endian error reply as another implementation might send it. */
const bigEndian = Buffer.from(
  `42030101 00000006 00000009 0000002d
   04017300 00000005 612e622e 63000000 05017500 00000007 08016700 01730000 06017300 00000004 3a312e32 00000000
   00000001 6800`.replace(/\s/g, ''),
  'hex',
);

test('reads messages of the other byte order', () => {
  const message = receive(bigEndian);
  const { type, serial, errorName, replySerial, destination } = message?.header ?? {};
  assert.equal([type, serial, errorName, replySerial], [3, 9, 'a.b.c', 7]);
  assert.is(destination, ':1.2');
  assert.equal(message?.decode(0), ['h']);
});

test('refuses invalid message sizes', () => {
  const header = message('s', ['x']).subarray(0, 16);
  for (const [at, value] of [
    [4, 0xffffffff],
    [4, 129 << 20],
    [12, 0xffffffff],
    [12, 0x7fffffff],
    [0, 0x78],
  ] as const) {
    const wrong = Buffer.from(header);
    wrong.writeUInt32LE(value, at);
    assert.instance(
      refusal(() => parseFixedHeader(wrong)),
      TypeError,
    );
  }
});

/** Header fields path, member and signature by hand; the body as it is. */
function withBody(signature: string, body: Buffer): Buffer {
  const text = (code: string, type: string, value: string): Buffer => {
    const bytes = Buffer.from(`${code}\x01${type}\0${'\0'.repeat(4)}${value}\0`, 'latin1');
    bytes.writeUInt32LE(value.length, 4);
    return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  };
  const last = Buffer.from(
    `\x08\x01g\0${String.fromCharCode(signature.length)}${signature}\0`,
    'latin1',
  );
  const fields = Buffer.concat([text('\x01', 'o', '/'), text('\x03', 's', 'M'), last]);
  const header = Buffer.alloc(16);
  header.set([0x6c, 1, 0, 1]);
  header.writeUInt32LE(body.length, 4);
  header.writeUInt32LE(1, 8);
  header.writeUInt32LE(fields.length, 12);
  const padding = Buffer.alloc((8 - (fields.length % 8)) % 8);
  return Buffer.concat([header, fields, padding, body]);
}

/** The values decoded from these bytes with this signature, or why they cannot be. */
function decoded(signature: string, body: Buffer): unknown {
  try {
    return receive(withBody(signature, body))?.decode(100);
  } catch (error) {
    return error;
  }
}

test('returns a descriptor that was never attached as a plain index', () => {
  assert.equal(decoded('h', Buffer.from([0, 0, 0, 0])), [0]);
});

test('throws for an invalid body, and decodes nothing of it', () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['s', 'ffffffff'],
    ['s', '0400000061'],
    ['s', '01000000 6161'],
    ['b', '02000000'],
    ['u', '0000'],
    ['t', '00000000'],
    ['ay', '01000001 00'],
    ['as', '04000004 00'],
    ['at', '04000000 00000000 00000000 00000000'],
    ['a{sv}', '08000000 00000000 01000000 61000000'],
    ['v', '00 00'],
    ['v', '027373 00'],
    ['v', '027979 00 07'],
    ['a{yy}', '01000000 00000000 0707'],
    ['v', 'ff'],
    ['o', '01000000 6100'],
    ['a()', '00000000'],
    ['zz', '00'],
    ['a{', '00'],
    ['y', '0707'],
    ['', '00'],
  ];
  for (const [signature, hex] of wrong) {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    assert.instance(decoded(signature, bytes), Error, `${signature} ${hex}`);
  }
});

test('reads variants nested as deeply as a bus forwards them, and no deeper', () => {
  const nested = (depth: number) => Buffer.from(`${'017600'.repeat(depth - 1)}01790007`, 'hex');
  assert.ok(Array.isArray(decoded('v', nested(64))));
  assert.instance(decoded('v', nested(65)), RangeError);
  assert.instance(decoded('v', nested(5000)), RangeError);
});

test('writes variants nested as deeply as that, and any number beside one another', () => {
  const nested = (depth: number): Variant =>
    depth === 1 ? variant('y', 7) : variant('v', nested(depth - 1));
  assert.is(write('v', [nested(64)]).length, 63 * 3 + 4);
  assert.instance(
    refusal(() => write('v', [nested(65)])),
    RangeError,
  );
  const many = Array.from({ length: 100 }, (_, at) => variant('y', at));
  assert.equal(plain(read('av', write('av', [many]))), plain([many]));
});

test('refuses to read arrays above 64 MiB', () => {
  const bytes = Buffer.alloc((64 << 20) + 9);
  bytes.writeUInt32LE((64 << 20) + 1);
  for (const signature of ['ay', 'at']) {
    assert.match(String(refusal(() => read(signature, bytes))), '64 MiB');
  }
});

test('waits for the rest of a truncated message, and refuses a truncated body', () => {
  for (const { signature, values } of samples) {
    const whole = message(signature, values);
    for (let length = 0; length < whole.length; length++) {
      assert.is(receive(whole.subarray(0, length)), undefined);
    }
    const header = receive(whole)?.header;
    assert.ok(header);
    for (let length = 0; length < header.bodyBytes; length++) {
      const body = whole.subarray(header.headerBytes, header.headerBytes + length);
      const error = refusal(() => new IncomingMessage(header, body, false).decode(100));
      assert.ok(error instanceof RangeError || error instanceof TypeError, signature);
    }
  }
});

test('survives mutated messages', () => {
  const next = numbers(20_20);
  for (let round = 0; round < runs(40_000); round++) {
    const { signature, values } = samples[next(samples.length)] ?? { signature: '', values: [] };
    const bytes = message(signature, values);
    for (let change = next(4); change >= 0; change--) bytes[next(bytes.length)] = next(256);
    const error = refusal(() => receive(bytes)?.decode(100));
    if (error !== undefined) assert.ok(error instanceof RangeError || error instanceof TypeError);
  }
});

test('writes and reads 31 MiB', () => {
  const [bytes] = receive(message('ay', [Buffer.alloc(31 << 20, 1)]))?.decode(0) ?? [];
  assert.is((bytes as Buffer).length, 31 << 20);
});

test('writes no message above 32 MiB, whatever room there is', () => {
  const writer = new WireWriter(64 << 20);
  const call = { path: '/', interface: 'a.b', member: 'C', serial: 1, signature: 'ay' };
  const write = (size: number) =>
    refusal(() => appendMessage(writer, new Message({ ...call, body: [Buffer.alloc(size)] })));
  assert.instance(write(32 << 20), RangeError);
  assert.is(writer.position, 0);
  assert.is(write((32 << 20) - 1024), undefined);
});

test('refuses to write arrays above 64 MiB', () => {
  assert.instance(
    refusal(() => message('ay', [Buffer.alloc((64 << 20) + 1)])),
    RangeError,
  );
});

test('leaves nothing in a buffer that it has outgrown', () => {
  const writer = new WireWriter(16);
  const outgrown = writer.buffer.fill(0);
  writer.bytes(Buffer.from('secret'));
  writer.bytes(Buffer.alloc(64));
  assert.is.not(writer.buffer, outgrown);
  assert.equal(outgrown, Buffer.alloc(16));
});

test.run();
