import asn1 from 'node-forge/lib/asn1.js';
import { ServiceError } from '../../errors.ts';
import { type Element, universal } from './asn1.ts';

function refuse(what: string): never {
  throw new ServiceError('InvalidArgs', `${what} is malformed`);
}

/** Whether an element has this universal type. */
export function isUniversal(element: Element | undefined, type: number): element is Element {
  return element !== undefined && element.tagClass === 0 && element.type === type;
}

/** Whether an element has this context tag. */
export function isContext(element: Element | undefined, number: number): element is Element {
  return element !== undefined && element.tagClass === 0x80 && element.type === number;
}

/** The members of a constructed element, or InvalidArgs naming `what`. */
export function childrenOf(element: Element | undefined, what: string): readonly Element[] {
  if (element === undefined || typeof element.value === 'string') return refuse(what);
  return element.value;
}

/** The members of a SEQUENCE or SET, or InvalidArgs naming `what`. */
export function membersOf(
  element: Element | undefined,
  type: 'sequence' | 'set',
  what: string,
): readonly Element[] {
  return isUniversal(element, universal[type]) ? childrenOf(element, what) : refuse(what);
}

/** The content of a primitive element, or InvalidArgs naming `what`. */
export function contentOf(element: Element | undefined, what: string): Buffer {
  if (element === undefined || typeof element.value !== 'string') return refuse(what);
  return Buffer.from(element.value, 'latin1');
}

/** The content of a primitive element of one universal type, or InvalidArgs naming `what`. */
export function bytesOf(
  element: Element | undefined,
  type: keyof typeof universal,
  what: string,
): Buffer {
  return isUniversal(element, universal[type]) ? contentOf(element, what) : refuse(what);
}

/** The dotted form of an OBJECT IDENTIFIER, or InvalidArgs naming `what`. */
export function oidOf(element: Element | undefined, what: string): string {
  const bytes = bytesOf(element, 'oid', what);
  if (bytes.length === 0 || bytes.length > 64) return refuse(what);
  return asn1.derToOid(bytes.toString('latin1'));
}

/** A BIT STRING of whole bytes, or InvalidArgs naming `what`. */
export function wholeBytesOf(element: Element | undefined, what: string): Buffer {
  const bytes = bytesOf(element, 'bitString', what);
  return bytes[0] === 0 ? bytes.subarray(1) : refuse(what);
}

/** The numbers of the bits that are set in a BIT STRING, or InvalidArgs naming `what`. */
export function bitsOf(element: Element | undefined, what: string): readonly number[] {
  const [unused = 8, ...bytes] = bytesOf(element, 'bitString', what);
  if (unused > 7 || bytes.length > 4) return refuse(what);
  const count = bytes.length * 8;
  return Array.from({ length: count }, (_, bit) => bit).filter(
    (bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0,
  );
}

/** A small INTEGER that is not negative, or InvalidArgs naming `what`. */
export function smallIntegerOf(element: Element | undefined, what: string): number {
  const bytes = bytesOf(element, 'integer', what);
  if (bytes.length === 0 || bytes.length > 4 || (bytes.readUInt8(0) & 0x80) !== 0) {
    return refuse(what);
  }
  return bytes.readUIntBE(0, bytes.length);
}
