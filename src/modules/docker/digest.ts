import { createHash, createHmac } from 'node:crypto';

/** JSON with the keys of every object in order, so that equal values have equal texts. */
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

/** A digest that can be shown to everybody: without the key, nobody can try what it may have been made from. */
export function keyedDigest(key: Uint8Array, digest: string): string {
  return createHmac('sha256', key).update(digest).digest('hex');
}
