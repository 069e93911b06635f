import { createHash, hash, randomBytes } from 'node:crypto';
import { type Hash, hashBytes } from '../mechanism.ts';

const digestInfoPrefixes: Readonly<Record<Hash, Buffer>> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};

/** The DigestInfo that a PKCS#1 v1.5 signature signs (RFC 8017 9.2). */
export function digestInfo(name: Hash, digest: Buffer): Buffer {
  return Buffer.concat([digestInfoPrefixes[name], digest]);
}

/** EMSA-PSS-ENCODE (RFC 8017 9.1.1) with MGF1 of the same hash and a fresh salt of its length. */
export function encodePss(name: Hash, digest: Buffer, bits: number): Buffer {
  const size = hashBytes(name);
  const salt = randomBytes(size);
  const h = pssHash(name, digest, salt);
  // the bits of every modulus here fill whole bytes, so the encoded message is one bit shorter and as many bytes long
  const block = Buffer.alloc(bits / 8 - size - 1);
  block[block.length - size - 1] = 1;
  salt.copy(block, block.length - size);
  mask(name, h, block);
  block[0] = (block[0] ?? 0) & 0x7f;
  return Buffer.concat([block, h, Buffer.of(0xbc)]);
}

/** EMSA-PSS-VERIFY (RFC 8017 9.1.2) with MGF1 of the same hash and a salt of its length. */
export function verifyPss(name: Hash, digest: Buffer, encoded: Buffer): boolean {
  const size = hashBytes(name);
  if (encoded.length < 2 * size + 2 || encoded.at(-1) !== 0xbc) return false;
  const block = Buffer.from(encoded.subarray(0, encoded.length - size - 1));
  const h = encoded.subarray(block.length, block.length + size);
  if ((block[0] ?? 0) >= 0x80) return false;
  mask(name, h, block);
  block[0] = (block[0] ?? 0) & 0x7f;
  const one = block.length - size - 1;
  if (block.subarray(0, one).some((byte) => byte !== 0) || block[one] !== 1) return false;
  return pssHash(name, digest, block.subarray(one + 1)).equals(h);
}

function pssHash(name: Hash, digest: Buffer, salt: Buffer): Buffer {
  return hash(name, Buffer.concat([Buffer.alloc(8), digest, salt]), 'buffer');
}

/** XORs a block with MGF1 of a seed. */
function mask(name: Hash, seed: Buffer, block: Buffer): void {
  const size = hashBytes(name);
  const counter = Buffer.alloc(4);
  for (let at = 0; at < block.length; at += size) {
    counter.writeUInt32BE(at / size);
    const bytes = createHash(name).update(seed).update(counter).digest();
    for (let i = 0; i < size && at + i < block.length; i++) {
      block[at + i] = (block[at + i] ?? 0) ^ (bytes[i] ?? 0);
    }
  }
}
