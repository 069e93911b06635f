import { randomFillSync } from 'node:crypto';

/**
 * Zeroed bytes for a secret. V8 keeps arrays of at most 64 bytes in its own heap, where garbage collection moves them
 * and leaves copies that nobody can wipe: Buffer.alloc and randomBytes make such; what is cut from Node's pool is not.
 */
export function secretBytes(size: number): Buffer {
  return Buffer.allocUnsafe(size).fill(0);
}

/** Random bytes that are a secret. */
export function randomSecret(size: number): Buffer {
  return randomFillSync(secretBytes(size));
}
