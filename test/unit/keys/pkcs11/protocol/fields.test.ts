import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ByteReader,
  ByteWriter,
  MalformedMessage,
} from '../../../../../src/keys/pkcs11/protocol/bytes.ts';
import { CK_PARAMS } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import {
  type Field,
  flag,
  list,
  nothing,
  optional,
  struct,
  text,
  textOf,
  u32,
  ulong,
} from '../../../../../src/keys/pkcs11/protocol/fields.ts';
import {
  handle,
  mechanism,
  template,
  tokenInfo,
} from '../../../../../src/keys/pkcs11/protocol/values.ts';

const test = suite('fields of a message');

function encoded<T>(field: Field<T>, value: T): Buffer {
  const writer = new ByteWriter();
  field.write(writer, value);
  return writer.finish();
}

function decoded<T>(field: Field<T>, bytes: Buffer): T {
  const reader = new ByteReader(bytes);
  const value = field.read(reader);
  reader.end();
  return value;
}

function survives<T>(field: Field<T>, value: T): void {
  assert.equal(decoded(field, encoded(field, value)), value);
}

function refuses<T>(field: Field<T>, hex: string): void {
  const isMalformed = (error: unknown) => error instanceof MalformedMessage;
  assert.throws(() => decoded(field, Buffer.from(hex, 'hex')), isMalformed, hex);
}

/** Every value, cut off anywhere, is malformed. */
function refusesParts<T>(field: Field<T>, value: T): void {
  const bytes = encoded(field, value);
  for (let length = 0; length < bytes.length; length++) {
    refuses(field, bytes.subarray(0, length).toString('hex'));
  }
  refuses(field, `${bytes.toString('hex')}00`);
}

const info = {
  label: 'edge'.padEnd(32),
  manufacturerID: 'SoftHSM project'.padEnd(32),
  model: 'SoftHSM v2'.padEnd(16),
  serialNumber: '1234'.padEnd(16),
  flags: 0x40d,
  maxSessionCount: 2 ** 32 - 1,
  maxRwSessionCount: 0,
};
const attributes = [
  { type: 0, value: 3 },
  { type: 1, value: true },
  { type: 3, value: 'a label: ä' },
  { type: 0x102, value: Buffer.from('id') },
];
const gcm = {
  type: CK_PARAMS.AES_GCM,
  iv: Buffer.alloc(12, 1),
  ivBits: 96,
  aad: Buffer.alloc(0),
  tagBits: 128,
};
const pss = { type: CK_PARAMS.RSA_PSS, hashAlg: 0x250, mgf: 2, saltLen: 32 };

test('are read as they were written', () => {
  survives(flag, true);
  survives(u32, 0xffffffff);
  survives(ulong, 2 ** 64);
  survives(text, 'ä');
  survives(optional(u32), undefined);
  survives(optional(u32), 0);
  survives(list(text), ['', 'a']);
  survives(nothing, undefined);
  survives(struct<{ a: number; b: boolean }>({ a: u32, b: flag }), { a: 1, b: true });
  survives(handle, Buffer.alloc(8, 1));
  survives(template, attributes);
  survives(mechanism, { mechanism: 0x1041, parameter: undefined });
  survives(mechanism, { mechanism: 0x1087, parameter: gcm });
  survives(mechanism, { mechanism: 0xd, parameter: pss });
  survives(tokenInfo, info);
});

test('are malformed when they are cut off or continue', () => {
  refusesParts(template, attributes);
  refusesParts(mechanism, { mechanism: 0x1087, parameter: gcm });
  refusesParts(mechanism, { mechanism: 0xd, parameter: pss });
  refusesParts(tokenInfo, info);
  refusesParts(list(optional(handle)), [undefined, Buffer.alloc(8)]);
});

test('are malformed in a form that is never written', () => {
  refuses(flag, '02');
  refuses(optional(u32), 'ff00000000');
  const number = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return bytes.toString('hex');
  };
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    refuses(ulong, number(value));
  refuses(handle, '09000000000000000000000000');
  refuses(template, `01000000${number(0)}04`);
  refuses(mechanism, `${number(0)}0107`);
  const name = textOf(/^CKR_[A-Z]{1,4}$/);
  survives(name, 'CKR_OK');
  for (const other of ['CKR_ok', 'CKR_', 'CKR_OK\n', 'x CKR_OK', 'CKR_LONGER']) {
    refuses(name, encoded(text, other).toString('hex'));
  }
});

test('allocate nothing for a count or a length that lies', () => {
  refuses(list(nothing), '05000000');
  refuses(list(u32), 'ffffffff');
  refuses(list(u32), '0200000001000000');
  refuses(text, 'ffffff7f');
});

test('are at most a million elements of all lists of a message', () => {
  const empty = encoded(
    list(list(flag)),
    Array.from({ length: 1 << 20 }, () => []),
  );
  assert.is(decoded(list(list(flag)), empty).length, 1 << 20);
  const nested = encoded(
    list(list(flag)),
    Array.from({ length: 1023 }, () => Array.from({ length: 1025 }, () => true)),
  );
  refuses(list(list(flag)), nested.toString('hex'));
});

test.run();
