/** The key derivation of PKCS#12 (RFC 7292 appendix B.2), which node:crypto does not have. */
import { createHash, hash as digestOf } from 'node:crypto';

/** What a key is for: another key comes from the same password and salt. */
export const purposes = { key: 1, iv: 2, mac: 3 } as const;

/** A hash and the octets that it takes at a time. */
export interface DerivationHash {
  readonly name: string;
  readonly blockBytes: number;
  readonly digestBytes: number;
}

/** A key to derive. */
export interface Derivation {
  readonly hash: DerivationHash;
  /** UTF-16, big-endian, with its terminator. */
  readonly password: Buffer;
  readonly salt: Buffer;
  readonly purpose: (typeof purposes)[keyof typeof purposes];
  readonly iterations: number;
  readonly length: number;
}

/** The digests that one iteration of a derivation takes. */
export function digestsFor({ hash, length }: Pick<Derivation, 'hash' | 'length'>): number {
  return Math.ceil(length / hash.digestBytes);
}

/** Derives a key, which the caller wipes. */
export function deriveKey(derivation: Derivation): Buffer {
  const { hash, password, salt, purpose, iterations, length } = derivation;
  const { blockBytes } = hash;
  const variable = Buffer.concat([filled(salt, blockBytes), filled(password, blockBytes)]);
  const diversifier = Buffer.alloc(blockBytes, purpose);
  const key = Buffer.alloc(digestsFor(derivation) * hash.digestBytes);
  for (let at = 0; at < key.length; at += hash.digestBytes) {
    let digest = createHash(hash.name).update(diversifier).update(variable).digest();
    for (let round = 1; round < iterations; round++) {
      digest = digestOf(hash.name, digest, 'buffer'); // twice as fast as a Hash
    }
    digest.copy(key, at);
    for (let from = 0; from < variable.length; from += blockBytes) {
      add(variable.subarray(from, from + blockBytes), filled(digest, blockBytes));
    }
    digest.fill(0);
  }
  variable.fill(0);
  return key.subarray(0, length);
}

/** Octets, repeated to whole blocks. */
function filled(octets: Buffer, blockBytes: number): Buffer {
  if (octets.length === 0) return octets;
  return Buffer.alloc(Math.ceil(octets.length / blockBytes) * blockBytes, octets);
}

/** Adds a number and 1 to a block, without what is carried out of it. */
function add(block: Buffer, number: Buffer): void {
  let carry = 1;
  for (let at = block.length - 1; at >= 0; at--) {
    const sum = block.readUInt8(at) + (number[at] ?? 0) + carry;
    block.writeUInt8(sum & 0xff, at);
    carry = sum >> 8;
  }
}
