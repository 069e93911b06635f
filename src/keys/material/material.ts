import { oneOf, ServiceError } from '../../errors.ts';
import { materialFormats } from '../../interfaces/enumerations.ts';
import type { SymmetricAlgorithm } from '../algorithm.ts';
import type { Material } from '../store.ts';
import { members } from './der-reader.ts';
import { isConsistent } from './key-pair-check.ts';
import { algorithmOf, parsePrivateKey } from './private-key.ts';

/** Whether raw bytes have the length of a key: 32 for aes-256, 16 to 128 for hmac-sha256. */
export function hasRawLength(algorithm: SymmetricAlgorithm, { length }: Buffer): boolean {
  return algorithm === 'aes-256' ? length === 32 : length >= 16 && length <= 128;
}

/** Whether external bytes can be a raw key: they have its length, and no structure of another format. */
export function fitsRaw(algorithm: SymmetricAlgorithm, bytes: Buffer): boolean {
  return hasRawLength(algorithm, bytes) && !isStructured(bytes);
}

/** Parses key material from the bus; InvalidArgs unless it has exactly the format. The caller wipes it. */
export function parseMaterial(
  format: string,
  bytes: Buffer,
  algorithm: SymmetricAlgorithm | undefined,
): Material {
  if (oneOf(format, 'a format', materialFormats) === 'raw') {
    if (algorithm === undefined || !fitsRaw(algorithm, bytes)) {
      const what = isStructured(bytes)
        ? 'what begins as DER or PEM is'
        : `${bytes.length} bytes are`;
      throw invalid(`${what} not a raw key of ${algorithm ?? 'an algorithm'}`);
    }
    return { kind: 'raw', algorithm, bytes };
  }
  if (algorithm !== undefined) throw invalid('PKCS#8 says its algorithm itself: give ""');
  const key = parsePrivateKey(bytes);
  const found = key && algorithmOf(key);
  if (key === undefined || found === undefined) {
    const why = isEncrypted(bytes) ? 'it is encrypted' : 'not a kind of key that is offered';
    throw invalid(`not the PKCS#8 (DER) of a key pair: ${why}`);
  }
  if (!isConsistent(key)) throw invalid('the parts of the private key do not belong together');
  const own = key.export({ type: 'pkcs8', format: 'der' });
  return { kind: 'pkcs8', algorithm: found, bytes: own };
}

/** Whether bytes have the structure of an EncryptedPrivateKeyInfo (RFC 5958 3). */
export function isEncrypted(bytes: Buffer): boolean {
  try {
    const [algorithm, data, ...rest] = members(bytes);
    return algorithm?.tag === 0x30 && data?.tag === 0x04 && rest.length === 0;
  } catch {
    return false;
  }
}

/** Whether bytes are PEM, JSON or DER, or begin like a key in DER, as one random key in 2²⁴ does. */
export function isStructured(bytes: Buffer): boolean {
  return bytes.includes('-----BEGIN ') || isJson(bytes) || isDer(bytes) || beginsAsKey(bytes);
}

function isDer(bytes: Buffer): boolean {
  try {
    return members(bytes).length > 1;
  } catch {
    return false;
  }
}

/** Whether bytes begin with a SEQUENCE of a small INTEGER or an AlgorithmIdentifier, truncated or not. */
function beginsAsKey(bytes: Buffer): boolean {
  const [tag, length = 0] = bytes;
  if (tag !== 0x30) return false;
  const body = bytes.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f));
  if (body[0] === 0x02) return body[1] === 1 && (body[2] ?? 0xff) <= 3;
  return body[0] === 0x30 && body[2] === 0x06;
}

function isJson(bytes: Buffer): boolean {
  if (bytes[0] !== 0x7b) return false;
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidArgs', message);
}
