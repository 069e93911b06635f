import type { Element } from './der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from './der/read.ts';

/** Names of signature algorithms by OID (RFC 3279, RFC 4055, RFC 5758, RFC 8410). */
const names: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.2', 'rsa-pkcs1-md2'],
  ['1.2.840.113549.1.1.4', 'rsa-pkcs1-md5'],
  ['1.2.840.113549.1.1.5', 'rsa-pkcs1-sha1'],
  ['1.2.840.113549.1.1.14', 'rsa-pkcs1-sha224'],
  ['1.2.840.113549.1.1.11', 'rsa-pkcs1-sha256'],
  ['1.2.840.113549.1.1.12', 'rsa-pkcs1-sha384'],
  ['1.2.840.113549.1.1.13', 'rsa-pkcs1-sha512'],
  ['1.2.840.10045.4.1', 'ecdsa-sha1'],
  ['1.2.840.10045.4.3.1', 'ecdsa-sha224'],
  ['1.2.840.10045.4.3.2', 'ecdsa-sha256'],
  ['1.2.840.10045.4.3.3', 'ecdsa-sha384'],
  ['1.2.840.10045.4.3.4', 'ecdsa-sha512'],
  ['1.2.840.10040.4.3', 'dsa-sha1'],
  ['2.16.840.1.101.3.4.3.2', 'dsa-sha256'],
  ['1.3.101.112', 'ed25519'],
  ['1.3.101.113', 'ed448'],
]);
const pss = '1.2.840.113549.1.1.10';
const hashes: ReadonlyMap<string, string> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/** The name of a signature algorithm, such as `ecdsa-sha256`; its OID when it has none here. InvalidArgs. */
export function signatureAlgorithmName(element: Element | undefined, what: string): string {
  const [id, parameters] = membersOf(element, 'sequence', what);
  const dotted = oidOf(id, what);
  return dotted === pss ? `rsa-pss-${pssHash(parameters, what)}` : (names.get(dotted) ?? dotted);
}

/** The hash of RSASSA-PSS-params, by default SHA-1 (RFC 4055 3.1). */
function pssHash(parameters: Element | undefined, what: string): string {
  const members = parameters === undefined ? [] : membersOf(parameters, 'sequence', what);
  const tagged = members.find((member) => isContext(member, 0));
  if (tagged === undefined) return 'sha1';
  const [id] = membersOf(childrenOf(tagged, what)[0], 'sequence', what);
  const dotted = oidOf(id, what);
  return hashes.get(dotted) ?? dotted;
}
