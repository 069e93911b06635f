/** Names and addresses by which something is reached on a network, as texts. */
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;
/** Resolvers take these for addresses, as `inet_aton` does. */
const NUMBER = /^(0x[0-9a-f]*|[0-9]+)$/i;

/** True for one DNS label that no resolver takes for an address. */
export function isLabel(text: string): boolean {
  return LABEL.test(text) && !NUMBER.test(text);
}

/** True for an address, also in one of the forms that only resolvers know. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 || text.split('.').every((part) => NUMBER.test(part));
}

/** True for one host's name in ASCII or its address: no pattern for many, no zone. */
export function isHostName(text: string): boolean {
  if (isIP(text) !== 0) return !text.includes('%');
  const labels = withoutLastDots(text).split('.');
  return text.length <= 253 && labels.every((one) => LABEL.test(one)) && !isAddress(text);
}

/** True for names that a resolver takes for the same, and for spellings of one address. */
export function sameName(left: string, right: string): boolean {
  return plainName(left) === plainName(right);
}

/** The one spelling in which names and addresses are compared: resolvers know other letters as `xn--`. */
export function plainName(name: string): string {
  if (isIP(name) === 6 && !name.includes('%')) {
    return new URL(`http://[${name}]`).hostname.slice(1, -1);
  }
  const plain = withoutLastDots(name).toLowerCase();
  return isAscii(plain) ? plain : domainToASCII(plain) || plain;
}

/** A name without the dots of the root at its end. */
export function withoutLastDots(name: string): string {
  return name.replace(/\.+$/, '');
}

/** True for a text that can stand in a certificate as a name. */
export function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** The host in `host[:port]`, `` for none. */
export function hostOf(place: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(place)?.[1];
  if (bracketed !== undefined) return bracketed;
  return isIP(place) === 0 ? place.replace(/:[0-9]*$/, '') : place;
}

/** A host's name and its first label, which stands for it wherever its domain is searched. */
export function withFirstLabel(name: string): readonly string[] {
  if (name === '') return [];
  return isAddress(name) ? [name] : [name, name.split('.', 1)[0] ?? ''].filter(Boolean);
}
