/** The ASN.1 of PKCS#12 in DER or BER, which older programs write; every failure is InvalidArgs. */
import asn1 from 'node-forge/lib/asn1.js';
import { ServiceError } from '../../errors.ts';
import { elementsIn, firstElement, type Tlv } from '../der/tlv.ts';

const tags = { integer: 0x02, octets: 0x04, oid: 0x06, context0: 0xa0 } as const;
const constructed = 0x20;
/** Of an OCTET STRING in pieces, which is copied once a level. */
const maxDepth = 8;

/** The failure of everything that is not what the standard demands. */
export function malformed(): ServiceError {
  return new ServiceError('InvalidArgs', 'it is malformed');
}

/** The one element that bytes begin with. */
export function elementOf(bytes: Buffer): Tlv {
  const element = firstElement(bytes);
  if (element === undefined) throw malformed();
  return element;
}

/** The members of a SEQUENCE, a SET or an explicit tag. */
export function membersOf(element: Tlv | undefined): readonly Tlv[] {
  if (element === undefined || (element.tag & constructed) === 0) throw malformed();
  const members = [...elementsIn(element.content)];
  const length = members.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (length !== element.content.length) throw malformed();
  return members;
}

/** The element in an explicit tag `[0]`. */
export function taggedOf(element: Tlv | undefined): Tlv {
  const [inner] = element?.tag === tags.context0 ? membersOf(element) : [];
  if (inner === undefined) throw malformed();
  return inner;
}

/** The content of an OCTET STRING, in one piece or, in BER, in several; of an implicit tag, too. */
export function octetsOf(element: Tlv | undefined, tag: number = tags.octets, depth = 0): Buffer {
  if (element?.tag === tag) return element.content;
  if (element?.tag !== (tag | constructed) || depth > maxDepth) throw malformed();
  return Buffer.concat(membersOf(element).map((one) => octetsOf(one, tags.octets, depth + 1)));
}

/** An OBJECT IDENTIFIER in its dotted form. */
export function oidOf(element: Tlv | undefined): string {
  const { tag, content } = element ?? {};
  if (tag !== tags.oid || content === undefined || content.length === 0 || content.length > 64) {
    throw malformed();
  }
  return asn1.derToOid(content.toString('latin1'));
}

/** An INTEGER from 0 to 2³¹ - 1. */
export function numberOf(element: Tlv | undefined): number {
  const { tag, content } = element ?? {};
  if (tag !== tags.integer || content === undefined) throw malformed();
  if (content.length === 0 || content.length > 4 || content.readInt8(0) < 0) throw malformed();
  return content.readUIntBE(0, content.length);
}

/** Whether an element is an INTEGER. */
export function isInteger({ tag }: Tlv): boolean {
  return tag === tags.integer;
}
