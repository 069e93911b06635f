import { createHash, createHmac } from 'node:crypto';

/** JSON with sorted keys, so that equal values have equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** SHA-256 of a JSON value, whatever the order of its keys, as lower-case hex. */
export function jsonDigest(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** A digest that may be published: without the key, its input cannot be guessed and verified. */
export function keyedDigest(key: Uint8Array, digest: string): string {
  return createHmac('sha256', key).update(digest).digest('hex');
}
