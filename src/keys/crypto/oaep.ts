import { constants, createHash, hash, type KeyObject, privateDecrypt } from 'node:crypto';

const hashName = 'sha256';
const hashBytes = 32;

/**
 * Decodes an OAEP block (RFC 8017 7.1.2) with SHA-256, MGF1 of the same hash and an empty label. Undefined for every
 * invalid block, in time that does not depend on the error: a padding oracle would reveal the message (Manger 2001).
 */
export function unpadOaep(block: Buffer): Buffer | undefined {
  const seed = Buffer.from(block.subarray(1, 1 + hashBytes));
  const db = Buffer.from(block.subarray(1 + hashBytes));
  xorMask(seed, db);
  xorMask(db, seed);
  let bad = block[0] ?? 1;
  const label = hash(hashName, '', 'buffer');
  for (let i = 0; i < hashBytes; i++) bad |= (db[i] ?? 0) ^ (label[i] ?? 0);
  // reads every byte: `searching` is 1 up to the first nonzero byte, whose position is stored
  let searching = 1;
  let start = 0;
  for (let i = hashBytes; i < db.length; i++) {
    const byte = db[i] ?? 0;
    const isOne = isZero(byte ^ 1);
    const found = searching & isOne;
    bad |= searching & (isZero(byte) ^ 1) & (isOne ^ 1);
    start |= -found & (i + 1);
    searching &= isZero(byte);
  }
  bad |= searching;
  const message = bad === 0 ? Buffer.from(db.subarray(start)) : undefined;
  db.fill(0);
  seed.fill(0);
  return message;
}

/** Decrypts an OAEP block with a key in memory; undefined for every invalid block. */
export function openOaep(key: KeyObject, block: Buffer): Buffer | undefined {
  try {
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    return privateDecrypt({ key, padding, oaepHash: 'sha256' }, block);
  } catch {
    // the same result for all failures: the reason would help to guess the message
    return undefined;
  }
}

/** 1 for a zero byte, else 0, without a branch. */
function isZero(byte: number): number {
  return ((byte - 1) >>> 31) & 1;
}

function xorMask(target: Buffer, seed: Buffer): void {
  const counter = Buffer.alloc(4);
  for (let at = 0; at < target.length; at += hashBytes) {
    counter.writeUInt32BE(at / hashBytes);
    const bytes = createHash(hashName).update(seed).update(counter).digest();
    for (let i = 0; i < hashBytes && at + i < target.length; i++) {
      target[at + i] = (target[at + i] ?? 0) ^ (bytes[i] ?? 0);
    }
  }
}
