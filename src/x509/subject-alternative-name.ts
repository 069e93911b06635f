import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { ServiceError } from '../errors.ts';
import { context, type Element } from './der/asn1.ts';
import type { Tlv } from './der/tlv.ts';

/** A name that a certificate is issued for, besides its subject. */
export interface SubjectAlternativeName {
  readonly kind: 'dns' | 'ip' | 'uri' | 'email';
  readonly value: string;
}

const tags = { email: 1, dns: 2, uri: 6, ip: 7 } as const;
const contextClass = 0x80;
const kinds: ReadonlyMap<number, SubjectAlternativeName['kind']> = new Map([
  [contextClass | tags.email, 'email'],
  [contextClass | tags.dns, 'dns'],
  [contextClass | tags.uri, 'uri'],
  [contextClass | tags.ip, 'ip'],
]);
/** The unsupported kinds of names, as X.509 spells them. */
const otherKinds = new Map([
  [0xa0, 'otherName'],
  [0xa3, 'x400Address'],
  [0xa4, 'directoryName'],
  [0xa5, 'ediPartyName'],
  [0x88, 'registeredID'],
]);
const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const dns = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`);
const uri = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/;
const email = /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/;

/** Parses and normalizes a name; InvalidArgs. */
export function parseAlternativeName(
  kind: SubjectAlternativeName['kind'],
  text: string,
): SubjectAlternativeName {
  switch (kind) {
    case 'dns': {
      // a trailing dot, for the root of DNS, is not part of the name in certificates
      const name = text.replace(/(?<=[^.])\.$/, '');
      if (name.length <= 253 && dns.test(name)) return { kind, value: name.toLowerCase() };
      break;
    }
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
  const name = JSON.stringify(text.slice(0, 160));
  throw new ServiceError(
    'InvalidArgs',
    `${name} is not a valid ${kind} name${hintFor(kind, text)}`,
  );
}

/** Suggests the ASCII form of an internationalized name. */
function hintFor(kind: SubjectAlternativeName['kind'], text: string): string {
  const ascii = kind === 'dns' && /[^\0-\x7f]/.test(text) ? domainToASCII(text) : '';
  return ascii === '' ? '' : `: write it as ${JSON.stringify(ascii.slice(0, 300))}`;
}

/** Such as `dns:edge` or `ip:::1`. */
export function formatAlternativeName({ kind, value }: SubjectAlternativeName): string {
  return `${kind}:${value}`;
}

/** Encodes a name as GeneralName. */
export function encodeAlternativeName({ kind, value }: SubjectAlternativeName): Element {
  return context(tags[kind], kind === 'ip' ? ipBytes(value) : Buffer.from(value, 'latin1'));
}

/** Decodes a GeneralName; InvalidArgs for unsupported kinds and malformed names. */
export function decodeAlternativeName({ tag, content }: Tlv): SubjectAlternativeName {
  const kind = kinds.get(tag);
  if (kind === undefined) {
    const known = otherKinds.get(tag) ?? `[${tag & 0x1f}]`;
    const why = 'is not supported: only DNS names, IP addresses, URIs and email addresses are';
    throw new ServiceError(
      'InvalidArgs',
      `the subject alternative name of the kind ${known} ${why}`,
    );
  }
  if (kind !== 'ip') return parseAlternativeName(kind, content.toString('latin1'));
  if (content.length !== 4 && content.length !== 16) {
    throw new ServiceError('InvalidArgs', `an IP address of ${content.length} bytes is none`);
  }
  return { kind, value: formatIp(content) };
}

/**
 * Decodes a GeneralName for display, without validation: it may be one that is never issued here, such as a partial
 * wildcard. Undefined for unsupported kinds and malformed values.
 */
export function showAlternativeName({ tag, content }: Tlv): string | undefined {
  const kind = kinds.get(tag);
  if (kind === undefined) return undefined;
  if (kind === 'ip')
    return [4, 16].includes(content.length) ? `ip:${formatIp(content)}` : undefined;
  const text = content.toString('latin1');
  if (!/^[\x21-\x7e]+$/.test(text)) return undefined;
  return `${kind}:${kind === 'dns' ? text.toLowerCase() : text}`;
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
