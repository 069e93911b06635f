import type { RawMessage } from './raw-connection.ts';

const wholeBytes = 4 << 20;
/** A bus limits header fields more narrowly. */
const fieldBytes = 3_600_000;

/** An array: its length, the padding before its first element, and the elements. */
function array(elements: Buffer, alignment = 4): Buffer {
  const head = Buffer.alloc(Math.max(4, alignment));
  head.writeUInt32LE(elements.length);
  return Buffer.concat([head, elements]);
}

function filled(hex: string, bytes = wholeBytes): Buffer {
  return Buffer.alloc(bytes, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

/** A dictionary with one entry, a variant that holds an array of empty arrays. */
function option(bytes: number): Buffer {
  const key = Buffer.from('01000000 7800'.replace(' ', ''), 'hex'); // "x"
  const signature = Buffer.from('0361617900', 'hex'); // aay
  const head = Buffer.concat([key, signature]);
  const padded = Buffer.concat([head, Buffer.alloc((4 - (head.length % 4)) % 4)]);
  return array(Buffer.concat([padded, array(filled('00000000', bytes))]), 8);
}

/** The arguments of Properties.Set: two names, and a variant that holds an array of empty arrays. */
function propertyValue(bytes: number): Buffer {
  const name = Buffer.from('01000000 7800 0000 01000000 7800'.replaceAll(' ', ''), 'hex');
  const head = Buffer.concat([name, Buffer.from('0361617900', 'hex')]);
  const padded = Buffer.concat([head, Buffer.alloc((4 - (head.length % 4)) % 4)]);
  return Buffer.concat([padded, array(filled('00000000', bytes))]);
}

/** The values whose decoding takes the most memory per byte, each in a call of an existing method. */
export function hostileCalls(busName: string, path: string): ReadonlyMap<string, RawMessage> {
  const describe = { type: 1, destination: busName, path, interface: busName, member: 'Describe' };
  const set = { ...describe, interface: 'org.freedesktop.DBus.Properties', member: 'Set' };
  const body = (signature: string, bytes: Buffer): RawMessage => ({
    ...describe,
    signature,
    body: bytes,
  });
  // follows the code of the field; its value begins with the signature of a variant
  const field = Buffer.concat([
    Buffer.from('0361617900 0000'.replace(' ', ''), 'hex'),
    array(filled('00000000', fieldBytes)),
  ]);
  return new Map([
    ['aay', body('aay', array(filled('00000000')))],
    ['a{sv}', body('a{sv}', option(wholeBytes))],
    // an empty dictionary is a length and the padding before its first entry, which the first dictionary does not need
    ['aa{sv}', body('aa{sv}', array(filled('00000000', wholeBytes - 4)))],
    ['av', body('av', array(filled('01790007')))],
    ['as', body('as', array(filled('0000000000000000', wholeBytes).subarray(0, -3)))],
    ['ay', body('ay', array(filled('6c')))],
    ['ssv', { ...set, signature: 'ssv', body: propertyValue(wholeBytes) }],
    [
      'path',
      { ...describe, path: `/${'a'.repeat(1 << 20)}`, signature: 'a{sv}', body: Buffer.alloc(8) },
    ],
    ['field', { ...describe, unknownField: field, signature: 'a{sv}', body: Buffer.alloc(8) }],
  ]);
}
