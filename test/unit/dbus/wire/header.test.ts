import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Inbox, IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { holds } from '../../../support/property.ts';
import { Held, type Sample, type Shape, samples } from '../../../support/wire/dbus-values.ts';
import { bytesOfMessage, callWith } from '../../../support/wire/messages.ts';
import { encodeCall, type Order } from '../../../support/wire/reference-codec.ts';

const test = suite('dbus header');

const orders: readonly Order[] = ['little', 'big'];
const simple = (code: 'y' | 'u' | 's' | 'i'): Shape => ({ code, signature: code, inner: [] });
const bytesShape: Shape = { code: 'a', signature: 'ay', inner: [simple('y')] };
const last = bytesOfMessage({ path: '/', interface: 'a.b', member: 'Last', serial: 9 });

/** The members received from these bytes followed by a valid message, with whether they were skipped. */
function received(bytes: Buffer, piece = 1 << 20): readonly (readonly [string, boolean])[] {
  const inbox = new Inbox(() => 1 << 20);
  const all = Buffer.concat([bytes, last]);
  const messages: [string, boolean][] = [];
  for (let at = 0; at < all.length; at += piece) {
    inbox.add(all.subarray(at, at + piece));
    for (let next = inbox.next(); next; next = inbox.next()) {
      assert.is(next.header.destination ?? ':1.7', ':1.7');
      messages.push([next.header.member ?? '', next.isSkipped]);
    }
  }
  return messages;
}

const alone = [['Last', false]];
const both = [['Member', false], ...alone];

const codes = fc.integer({ min: 10, max: 255 });
const fields = (depth: number) =>
  fc.array(
    fc
      .tuple(codes, samples(depth))
      .map(([code, { shape, value }]) => [code, new Held(shape, value)] as const),
    { maxLength: 4 },
  );
const body: readonly Sample[] = [{ shape: simple('s'), value: 'text' }];

test('skips unknown fields of any type, in both byte orders', () =>
  holds(
    fc.property(fields(4), fields(4), fc.constantFrom(...orders), (before, after, order) => {
      assert.equal(received(encodeCall(7, body, order, { before, after })), both);
    }),
    300,
  ));

test('skips fields of any length in a header too large to hold, in both byte orders', () => {
  const simpleField = fc.tuple(
    codes,
    samples(1).filter(({ shape: { signature } }) => !/^[v(]/.test(signature)),
  );
  const some = fc.array(
    simpleField.map(([code, { shape, value }]) => [code, new Held(shape, value)] as const),
    { maxLength: 4 },
  );
  const size = fc.integer({ min: 16 << 10, max: 17 << 10 });
  const piece = fc.integer({ min: 100, max: 20_000 });
  holds(
    fc.property(
      some,
      some,
      size,
      piece,
      fc.constantFrom(...orders),
      (one, two, bytes, at, order) => {
        const large = [200, new Held(bytesShape, Buffer.alloc(bytes, 0x6c))] as const;
        const call = encodeCall(7, body, order, { before: [...one, large], after: two });
        assert.equal(received(call, at), [['Member', true], ...alone]);
      },
    ),
    150,
  );
});

/** A call with one more field, whose variant has this signature and these bytes. */
function withField(code: number, signature: string, value: string): Buffer {
  const head = Buffer.from([code, signature.length, ...Buffer.from(signature), 0]);
  const field = Buffer.concat([head, Buffer.from(value.replaceAll(' ', ''), 'hex')]);
  const padded = Buffer.concat([field, Buffer.alloc((8 - (field.length % 8)) % 8)]);
  const message = encodeCall(7, body, 'little');
  const out = Buffer.concat([message.subarray(0, 16), padded, message.subarray(16)]);
  out.writeUInt32LE(message.readUInt32LE(12) + padded.length, 12);
  return out;
}

test('drops a message with a field of the wrong type, or of two types', () => {
  assert.equal(received(withField(5, 'u', '07000000')), both);
  for (const [code, type, value] of [
    [5, 'i', '07000000'],
    [1, 's', '01000000 2f00'],
    [8, 's', '01000000 7300'],
    [6, 'o', '02000000 2f6100'],
    [200, 'uu', '07000000 07000000'],
    [200, 'yy', '0707'],
    [200, '', ''],
    [200, '(', ''],
  ] as const) {
    assert.equal(received(withField(code, type, value)), alone, `${code} ${type}`);
  }
});

test('skips arrays by their length, from where their first element is aligned', () => {
  // three bytes that are not an entry: only their number counts
  const variantOfVariant = '017600 05617b73767d00 0000 03000000 00000000 ffffff';
  assert.equal(received(withField(200, 'v', variantOfVariant)), both);
  const variantOfArray = '05617b73767d00 00 03000000 ffffff';
  assert.equal(received(withField(200, 'v', variantOfArray)), both);
  assert.equal(received(withField(200, 'a(y)', '00 03000000 00000000 ffffff')), both);
});

test('skips variants within one another as deeply as a bus forwards them, and no deeper', () => {
  const nested = (depth: number) =>
    received(withField(200, 'v', `${'017600'.repeat(depth - 1)}01790007`));
  assert.equal(nested(64), both);
  assert.equal(nested(65), alone);
});

test('drops a message whose last field exceeds the fields', () => {
  const message = encodeCall(7, [], 'little', {
    after: [[200, new Held(simple('s'), 'text')]],
  });
  assert.equal(received(message), both);
  for (const more of [1, 4, 100, 1 << 20, 0xffff_ffff - 4]) {
    const longer = Buffer.from(message);
    longer.writeUInt32LE(4 + more, message.lastIndexOf('text') - 4);
    assert.equal(received(longer), alone, `${more}`);
  }
  const bytes = encodeCall(7, [], 'little', {
    after: [[200, new Held(bytesShape, Buffer.from('text'))]],
  });
  assert.equal(received(bytes), both);
  for (const more of [1, 4, 100]) {
    const longer = Buffer.from(bytes);
    longer.writeUInt32LE(4 + more, bytes.lastIndexOf('text') - 4);
    assert.equal(received(longer), alone, `${more}`);
  }
});

/** A field of so many bytes, so that the header is too large to hold. */
const filling = (bytes: number) => [200, new Held(bytesShape, Buffer.alloc(bytes))] as const;

test('drops a message with a field of a wrong type also when its header is too large to hold', () => {
  for (const [code, shape, value] of [
    [1, simple('s'), '/a'],
    [6, { ...simple('s'), code: 'o', signature: 'o' }, '/a'],
    [8, simple('s'), 's'],
  ] as const) {
    const fields = { before: [filling(20_000), [code, new Held(shape, value)] as const] };
    assert.equal(received(encodeCall(7, body, 'little', fields)), alone, `${code}`);
  }
});

test('holds no more than 16 KiB of the fields of an oversized header, and the serial of a reply', () => {
  const inbox = new Inbox(() => 1000);
  const long = (code: number, text: string) => [code, new Held(simple('s'), text)] as const;
  const half = 'x'.repeat(9 << 10);
  const replySerial = [5, new Held(simple('u'), 77)] as const;
  for (const order of orders) {
    const before = [long(4, half), long(7, half), replySerial, filling(1000)];
    inbox.add(encodeCall(7, body, order, { before }));
    const header = inbox.next()?.header;
    assert.equal([header?.errorName, header?.sender], [half, undefined], order);
    assert.equal([header?.replySerial, header?.member], [77, 'Member'], order);
    assert.is(inbox.next(), undefined);
  }
});

test('decodes nothing of a skipped body, even an empty one', () => {
  const { header } = callWith('', []);
  assert.throws(() => new IncomingMessage(header, undefined, false).decode(0), RangeError);
  assert.equal(new IncomingMessage(header, Buffer.alloc(0), false).decode(0), []);
});

test('skips a message of an unknown type', () => {
  for (const [type, isReceived] of [
    [0, false],
    [1, true],
    [4, true],
    [5, false],
    [255, false],
  ] as const) {
    const message = encodeCall(7, body, 'little');
    message[1] = type;
    assert.equal(received(message), isReceived ? both : alone, `${type}`);
  }
});

test('counts the held bytes of a message', () => {
  const { header } = callWith('ay', [Buffer.alloc(100)]);
  const { headerBytes } = header;
  const sizeOf = (bytes: number, body: Buffer | undefined): number =>
    new IncomingMessage({ ...header, headerBytes: bytes }, body, true).sizeBytes;
  assert.is(sizeOf(headerBytes, Buffer.alloc(104)), headerBytes + 104);
  assert.is(sizeOf(headerBytes, undefined), headerBytes);
  assert.is(
    sizeOf(1 << 20, Buffer.alloc(104)),
    (16 << 10) + 104,
    'of a larger header less is held',
  );
});

test('expects a reply unless NO_REPLY_EXPECTED is set, whatever the other flags', () => {
  for (const flags of [0, 2, 4, 6, 0xf8]) assert.ok(callWith('', [], flags).wantsReply, `${flags}`);
  for (const flags of [1, 3, 5, 0xff]) assert.not(callWith('', [], flags).wantsReply, `${flags}`);
});

test('copies its body out of the receive buffer, and wipes what it copied or assembled from pieces', () => {
  const { header } = callWith('ay', [Buffer.from('secret')]);
  const secret = Buffer.from('06000000736563726574', 'hex');
  const buffer = Buffer.from(secret);
  const message = new IncomingMessage(header, buffer, false);
  message.detach();
  buffer.fill(0);
  const moved = message.reader(0).buffer;
  assert.is(moved.toString('hex'), secret.toString('hex'));
  message.release();
  assert.ok(moved.every((byte) => byte === 0));
  assert.ok(message.isSkipped);
  const received = Buffer.from(secret);
  new IncomingMessage(header, received, false).release();
  assert.ok(received.equals(secret), 'the receive buffer is wiped by its owner');

  const inbox = new Inbox(() => 1000);
  const bytes = bytesOfMessage({ path: '/', member: 'M', signature: 'ay', body: [secret] });
  inbox.add(bytes.subarray(0, -3));
  assert.is(inbox.next(), undefined);
  inbox.add(bytes.subarray(-3));
  const pieces = inbox.next();
  const owned = pieces?.reader(0).buffer ?? Buffer.of(1);
  assert.ok(owned.includes(secret));
  pieces?.release();
  assert.ok(owned.every((byte) => byte === 0));
});

test('wipes the received part of a message whose rest never comes', () => {
  const allocated: Buffer[] = [];
  const allocate = Buffer.allocUnsafe.bind(Buffer);
  const secret = Buffer.from('a secret that nobody else has');
  const bytes = bytesOfMessage({ path: '/', member: 'M', signature: 'ay', body: [secret] });
  const inbox = new Inbox(() => 1000);
  Buffer.allocUnsafe = (size) => {
    const buffer = allocate(size);
    allocated.push(buffer);
    return buffer;
  };
  try {
    inbox.add(bytes.subarray(0, -1));
    assert.is(inbox.next(), undefined);
  } finally {
    Buffer.allocUnsafe = allocate;
  }
  const held = () => allocated.some((buffer) => buffer.includes(secret.subarray(0, -1)));
  assert.ok(held());
  inbox[Symbol.dispose]();
  assert.not(held());
});

test.run();
