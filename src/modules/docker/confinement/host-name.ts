/** Host names and addresses as texts. */
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

const labelPattern = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;
/** Resolvers parse these as addresses, like `inet_aton`. */
const numberPattern = /^(0x[0-9a-f]*|[0-9]+)$/i;

const maxLength = 253;

/** Whether a text is a DNS label that no resolver parses as an address. */
export function isLabel(text: string): boolean {
  return labelPattern.test(text) && !numberPattern.test(text);
}

/** Whether a text is an address, also in one of the forms that only resolvers accept. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 || text.split('.').every((part) => numberPattern.test(part));
}

/** Whether a text is the name of one host in ASCII or its address: neither a pattern nor with a zone. */
export function isHostName(text: string): boolean {
  if (text.length > maxLength) return false;
  if (isIP(text) !== 0) return !text.includes('%');
  const labels = withoutLastDots(text).split('.');
  return labels.every((one) => labelPattern.test(one)) && !isAddress(text);
}

/** Whether names are the same to a resolver, or spellings of one address. */
export function sameName(left: string, right: string): boolean {
  return plainName(left) === plainName(right);
}

/** The canonical spelling in which names and addresses are compared: resolvers encode other letters as `xn--`. */
export function plainName(name: string): string {
  if (isIP(name) === 6 && !name.includes('%')) {
    return new URL(`http://[${name}]`).hostname.slice(1, -1);
  }
  const plain = withoutLastDots(name).toLowerCase();
  return isAscii(plain) ? plain : domainToASCII(plain) || plain;
}

/** A name without trailing dots. */
export function withoutLastDots(name: string): string {
  let end = name.length; // a pattern for them would begin anew at each of many dots
  while (name[end - 1] === '.') end--;
  return name.slice(0, end);
}

/** Whether a text can be a name in a certificate. */
export function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** The host in `host[:port]`, `` for none. */
export function hostOf(place: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(place)?.[1];
  if (bracketed !== undefined) return bracketed;
  return isIP(place) === 0 ? place.replace(/:[0-9]*$/, '') : place;
}

/** A host's name and its first label, which resolves to it wherever its domain is searched. */
export function withFirstLabel(name: string): readonly string[] {
  if (name === '') return [];
  return isAddress(name) ? [name] : [name, name.split('.', 1)[0] ?? ''].filter(Boolean);
}
