/**
 * The numbers of a private key as bytes, which can be wiped: `export({ format: 'jwk' })` returns strings, which stay in
 * memory until they are garbage-collected. They are parsed from the DER that OpenSSL writes, so every element is as
 * RFC 8017 A.1.2 and RFC 5915 3 specify.
 */
import type { KeyObject } from 'node:crypto';
import { content, type Element, members, tags } from './der-reader.ts';

/** The numbers of an RSA key, big-endian, without leading zeros. */
export interface RsaParts {
  readonly modulus: Buffer;
  readonly publicExponent: Buffer;
  readonly privateExponent: Buffer;
  readonly prime1: Buffer;
  readonly prime2: Buffer;
  readonly exponent1: Buffer;
  readonly exponent2: Buffer;
  readonly coefficient: Buffer;
}

/** Passes the numbers of an RSA key to `use` and then wipes them: `use` must return copies. */
export function withRsaParts<T>(key: KeyObject, use: (parts: RsaParts) => T): T {
  return withPrivateKey(key, (der) => {
    const [, modulus, publicExponent, privateExponent, prime1, prime2, ...rest] = members(der);
    const [exponent1, exponent2, coefficient] = rest;
    return use({
      modulus: integer(modulus),
      publicExponent: integer(publicExponent),
      privateExponent: integer(privateExponent),
      prime1: integer(prime1),
      prime2: integer(prime2),
      exponent1: integer(exponent1),
      exponent2: integer(exponent2),
      coefficient: integer(coefficient),
    });
  });
}

/** As `withRsaParts`, with the scalar of an EC key, which is as long as the order. */
export function withEcScalar<T>(key: KeyObject, use: (scalar: Buffer) => T): T {
  return withPrivateKey(key, (der) => use(content(members(der)[1], tags.octets)));
}

/** Decodes a big-endian number without creating a string; the number itself cannot be wiped. */
export function toBigInt(bytes: Buffer): bigint {
  let value = 0n;
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) value = (value << 64n) | bytes.readBigUInt64BE(at);
  for (; at < bytes.length; at++) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return value;
}

/** The privateKey of a PKCS#8 PrivateKeyInfo (RFC 5208 5). */
function withPrivateKey<T>(key: KeyObject, use: (der: Buffer) => T): T {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  try {
    return use(content(members(pkcs8)[2], tags.octets));
  } finally {
    pkcs8.fill(0);
  }
}

function integer(element: Element | undefined): Buffer {
  const bytes = content(element, tags.integer);
  return bytes[0] === 0 && bytes.length > 1 ? bytes.subarray(1) : bytes;
}
