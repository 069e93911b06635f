import { randomFillSync } from 'node:crypto';

/**
 * Zeroed bytes for a secret, from Node's pool. V8 stores the arrays of up to 64 bytes that Buffer.alloc and randomBytes
 * create in its own heap, where garbage collection moves them and leaves copies that cannot be wiped.
 */
export function secretBytes(size: number): Buffer {
  return Buffer.allocUnsafe(size).fill(0);
}

/** Random bytes for a secret. */
export function randomSecret(size: number): Buffer {
  return randomFillSync(secretBytes(size));
}
