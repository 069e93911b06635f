/** DER, read by its own rules (X.690 10 and 11): independent of the reader and the writer of the product. */

/** One value with the octets that it was read from. */
export interface DerValue {
  /** The identifier octet. */
  readonly tag: number;
  readonly bytes: Buffer;
  readonly content: Buffer;
  /** Empty for primitive values. */
  readonly members: readonly DerValue[];
}

/** Identifier octets of the universal types in certificates. */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const constructed = 0x20;
const universalClass = 0x00;

/** Reads one value that takes all octets; throws an Error that names the violated rule. */
export function readStrictDer(bytes: Buffer): DerValue {
  const value = readFirst(bytes);
  if (value.bytes.length !== bytes.length) throw new Error('octets follow the value');
  return value;
}

function readFirst(bytes: Buffer): DerValue {
  const tag = bytes.readUInt8(0);
  if ((tag & 0x1f) === 0x1f) throw new Error('a tag of several octets');
  const { length, from } = readLength(bytes);
  const content = bytes.subarray(from, from + length);
  if (content.length !== length) throw new Error('the value is incomplete');
  const members = (tag & constructed) === 0 ? [] : readMembers(content);
  const value = { tag, bytes: bytes.subarray(0, from + length), content, members };
  checkContent(value);
  return value;
}

/** Definite, in the fewest octets (10.1). */
function readLength(bytes: Buffer): { readonly length: number; readonly from: number } {
  const first = bytes.readUInt8(1);
  if (first < 0x80) return { length: first, from: 2 };
  const octets = first & 0x7f;
  if (octets === 0) throw new Error('an indefinite length');
  const length = bytes.readUIntBE(2, octets);
  if (length < 0x80 || bytes.readUInt8(2) === 0) throw new Error('a length that is not minimal');
  return { length, from: 2 + octets };
}

function readMembers(content: Buffer): readonly DerValue[] {
  const members: DerValue[] = [];
  for (let rest = content; rest.length > 0; ) {
    const member = readFirst(rest);
    members.push(member);
    rest = rest.subarray(member.bytes.length);
  }
  return members;
}

function checkContent({ tag, content, members }: DerValue): void {
  if ((tag & 0xc0) !== universalClass) return;
  switch (tag) {
    case derTags.boolean:
      if (!content.equals(Buffer.from([0xff])) && !content.equals(Buffer.from([0]))) {
        throw new Error('a BOOLEAN that is neither 00 nor FF');
      }
      return;
    case derTags.integer:
      return checkInteger(content);
    case derTags.bitString:
      return checkBitString(content);
    case derTags.null:
      if (content.length > 0) throw new Error('a NULL with content');
      return;
    case derTags.oid:
      return checkOid(content);
    case derTags.set:
      return checkOrder(members);
    case derTags.octetString:
    case derTags.utf8String:
    case derTags.printableString:
    case derTags.ia5String:
    case derTags.utcTime:
    case derTags.generalizedTime:
    case derTags.sequence:
      return;
    default:
      throw new Error(`the identifier octet ${tag.toString(16)}`);
  }
}

function checkInteger(content: Buffer): void {
  const [first, second = 0] = content;
  if (first === undefined) throw new Error('an INTEGER without content');
  if (content.length === 1) return;
  if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)) {
    throw new Error('an INTEGER with a superfluous octet');
  }
}

function checkBitString(content: Buffer): void {
  const [unused] = content;
  if (unused === undefined || unused > 7) throw new Error('a BIT STRING of unknown length');
  const last = content.length > 1 ? content.readUInt8(content.length - 1) : 0;
  if (content.length === 1 && unused > 0) throw new Error('unused bits of no octet');
  if ((last & ((1 << unused) - 1)) !== 0) throw new Error('unused bits that are not zero');
}

function checkOid(content: Buffer): void {
  const last = content.at(-1);
  if (last === undefined || last >= 0x80) throw new Error('an OBJECT IDENTIFIER without an end');
  const starts = [...content].filter((_, at) => at === 0 || content.readUInt8(at - 1) < 0x80);
  if (starts.includes(0x80)) throw new Error('an OBJECT IDENTIFIER with a superfluous octet');
}

/** In ascending order, the members of a SET OF (11.6). */
function checkOrder(members: readonly DerValue[]): void {
  if (members.some(({ bytes }, at) => at > 0 && compare(members[at - 1], bytes) > 0)) {
    throw new Error('a SET OF in another order');
  }
}

function compare(before: DerValue | undefined, bytes: Buffer): number {
  return before === undefined ? 0 : Buffer.compare(before.bytes, bytes);
}

/** The dotted form of an OBJECT IDENTIFIER. */
export function dottedOf({ content }: DerValue): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const octet of content) {
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    if (octet >= 0x80) continue;
    arcs.push(arc);
    arc = 0n;
  }
  const [head = 0n, ...rest] = arcs;
  const first = head < 80n ? head / 40n : 2n;
  return [first, head - first * 40n, ...rest].join('.');
}
