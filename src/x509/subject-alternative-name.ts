import { isIP } from 'node:net';
import { ServiceError } from '../errors.ts';
import { context, type Element } from './der/asn1.ts';
import { contentOf } from './der/read.ts';

/** A name that a certificate is for, besides its subject. */
export interface SubjectAlternativeName {
  readonly kind: 'dns' | 'ip' | 'uri' | 'email';
  readonly value: string;
}

const tags = { email: 1, dns: 2, uri: 6, ip: 7 } as const;
const kinds = new Map([
  [1, 'email'],
  [2, 'dns'],
  [6, 'uri'],
] as const);
const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const dns = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`);
const uri = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/;
const email = /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/;

/** The name in the one spelling in which it is compared and written; InvalidArgs when it is not one. */
export function parseAlternativeName(
  kind: SubjectAlternativeName['kind'],
  text: string,
): SubjectAlternativeName {
  switch (kind) {
    case 'dns':
      if (text.length <= 253 && dns.test(text)) return { kind, value: text.toLowerCase() };
      break;
    case 'ip':
      if (isIP(text) !== 0 && !text.includes('%')) return { kind, value: formatIp(ipBytes(text)) };
      break;
    case 'uri':
      if (text.length <= 2048 && uri.test(text)) return { kind, value: text };
      break;
    case 'email':
      if (text.length <= 254 && email.test(text)) return { kind, value: text };
      break;
  }
  throw new ServiceError('InvalidArgs', `${JSON.stringify(text.slice(0, 160))} is no ${kind} name`);
}

/** Such as `dns:edge` or `ip:::1`. */
export function formatAlternativeName({ kind, value }: SubjectAlternativeName): string {
  return `${kind}:${value}`;
}

/** The GeneralName of a name. */
export function encodeAlternativeName({ kind, value }: SubjectAlternativeName): Element {
  return context(tags[kind], kind === 'ip' ? ipBytes(value) : Buffer.from(value, 'latin1'));
}

/** The name that a GeneralName is; InvalidArgs for kinds that are not issued here. */
export function decodeAlternativeName(element: Element): SubjectAlternativeName {
  const bytes = contentOf(element, 'subject alternative name');
  if (element.tagClass === 0x80) {
    if (element.type === tags.ip && (bytes.length === 4 || bytes.length === 16)) {
      return { kind: 'ip', value: formatIp(bytes) };
    }
    const kind = kinds.get(element.type as 1); // any other number finds nothing
    if (kind !== undefined) return parseAlternativeName(kind, bytes.toString('latin1'));
  }
  throw new ServiceError('InvalidArgs', 'a subject alternative name is of an unknown kind');
}

function ipBytes(text: string): Buffer {
  if (isIP(text) === 4) return Buffer.from(text.split('.').map(Number));
  // the URL parser writes an IPv4 tail as hexadecimal groups
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from(
    [...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''),
    'hex',
  );
}

function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = (bytes.toString('hex').match(/.{4}/g) ?? []).join(':');
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
