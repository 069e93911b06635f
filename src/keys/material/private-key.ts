/**
 * Normalizes external private keys: named curve, uncompressed point, PKCS#8 version 1. OpenSSL preserves the encoding
 * that it parsed, so without this one key would have several encodings of its public key.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import {
  curveOids,
  type EcAlgorithm,
  isEc,
  isPairAlgorithm,
  type PairAlgorithm,
} from '../algorithm.ts';
import { tlv } from './der.ts';
import { content, type Element, members, tags, wholeBits } from './der-reader.ts';
import { pemBlock } from './pem-block.ts';
import { withEcScalar } from './private-parts.ts';

const curves: Readonly<Record<string, PairAlgorithm>> = {
  prime256v1: 'ec-p256',
  secp384r1: 'ec-p384',
  secp521r1: 'ec-p521',
};
/** The DER of the object identifier id-ecPublicKey. */
export const ecPublicKeyOid = Buffer.from('06072a8648ce3d0201', 'hex');
const pemLabels = ['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY'];
const version0 = Buffer.of(tags.integer, 1, 0);
const version1 = Buffer.of(tags.integer, 1, 1);
/** The tags of the optional fields of a OneAsymmetricKey (RFC 5958 2). */
const attributesTag = 0xa0;
const publicKeyTag = 0x81;

/** The algorithm of a private or public key, undefined when the service does not offer it. */
export function algorithmOf(key: KeyObject): PairAlgorithm | undefined {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return curves[namedCurve ?? ''];
    case 'ed25519':
      return 'ed25519';
    case 'rsa': {
      const name = `rsa-${modulusLength}`;
      return isPairAlgorithm(name) ? name : undefined;
    }
    default:
      return undefined;
  }
}

/** The DER SubjectPublicKeyInfo of a private key. */
export function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** Parses a private key in DER (PKCS#8, OneAsymmetricKey, SEC 1, PKCS#1); undefined unless it spans all of the bytes. */
export function parsePrivateKey(der: Buffer): KeyObject | undefined {
  try {
    return normalized(read(der));
  } catch {
    // OpenSSL's message may quote the key
    return undefined;
  }
}

/** Parses the first private key in PEM; undefined when it is missing or encrypted. */
export function parsePrivatePem(text: Buffer): KeyObject | undefined {
  try {
    return normalized(createPrivateKey(text));
  } catch {
    // OpenSSL's message does not help: the caller reports the path of the file
  }
  // OpenSSL 3.0 reads neither PKCS#8 version 2, which newer libraries write, nor a block that begins within a line
  for (const label of pemLabels) {
    const der = pemBlock(text, label);
    const key = der && parsePrivateKey(der);
    der?.fill(0);
    if (key !== undefined) return key;
  }
  return undefined;
}

/** The SubjectPublicKeyInfo of an uncompressed point on a named curve. */
export function ecSpki(algorithm: EcAlgorithm, point: Buffer): Buffer {
  return tlv(
    tags.sequence,
    tlv(tags.sequence, ecPublicKeyOid, curveOids[algorithm]),
    tlv(tags.bits, Buffer.of(0), point),
  );
}

/** The uncompressed point of a key. */
export function pointOf(key: KeyObject): Buffer {
  const half = key.type === 'public' ? key : createPublicKey(key);
  const { x = '', y = '' } = half.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(4), ...[x, y].map((one) => Buffer.from(one, 'base64url'))]);
}

function read(der: Buffer): KeyObject {
  const [version, second] = members(der);
  content(version, tags.integer);
  switch (second?.tag) {
    case tags.sequence:
      return readPkcs8(der);
    case tags.octets:
      return createPrivateKey({ key: der, format: 'der', type: 'sec1' });
    default:
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs1' });
  }
}

/** Parses PKCS#8 of either version: checks the fields that version 2 adds, and removes them for OpenSSL. */
function readPkcs8(der: Buffer): KeyObject {
  const [version, algorithm, privateKey, ...rest] = members(der);
  const number = content(version, tags.integer);
  if (number.length !== 1 || Number(number[0]) > 1) throw new TypeError('not a known version');
  if (number[0] === 0) return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const key = joined(
    [version0, tlv(tags.sequence, content(algorithm, tags.sequence))],
    [tags.octets, content(privateKey, tags.octets)],
    (first) => createPrivateKey({ key: first, format: 'der', type: 'pkcs8' }),
  );
  for (const element of rest) checkAddition(element, key);
  return key;
}

/** Encodes a SEQUENCE whose last elements hold a secret, passes it to `use` and wipes it. */
function joined<T>(
  open: readonly Buffer[],
  [tag, secret, ...after]: readonly [tag: number, secret: Buffer, ...after: Buffer[]],
  use: (sequence: Buffer) => T,
): T {
  const element = tlv(tag, secret);
  const sequence = tlv(tags.sequence, ...open, element, ...after);
  element.fill(0);
  try {
    return use(sequence);
  } finally {
    sequence.fill(0);
  }
}

function checkAddition(element: Element | undefined, key: KeyObject): void {
  if (element?.tag === attributesTag) return;
  const given = wholeBits(content(element, publicKeyTag));
  const [, bits] = members(spkiOf(key));
  if (wholeBits(content(bits, tags.bits)).equals(given)) return;
  if (key.asymmetricKeyType === 'ec' && pointOf(key).equals(given)) return;
  throw new TypeError('the public key is another one');
}

/** The same key with a named curve, where possible, and an uncompressed point. */
function normalized(key: KeyObject): KeyObject {
  const algorithm = algorithmOf(key);
  if (algorithm === undefined || !isEc(algorithm)) return key;
  const point = pointOf(key);
  if (spkiOf(key).equals(ecSpki(algorithm, point))) return key;
  return withEcScalar(key, (scalar) => {
    const halves = [
      tlv(0xa0, curveOids[algorithm]),
      tlv(0xa1, tlv(tags.bits, Buffer.of(0), point)),
    ];
    return joined([version1], [tags.octets, scalar, ...halves], (sec1) =>
      createPrivateKey({ key: sec1, format: 'der', type: 'sec1' }),
    );
  });
}
