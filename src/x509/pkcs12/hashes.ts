import type { DerivationHash } from './key-derivation.ts';

/** The hashes of MACs and key derivations. */
export const hashes = {
  md5: { name: 'md5', blockBytes: 64, digestBytes: 16 },
  sha1: { name: 'sha1', blockBytes: 64, digestBytes: 20 },
  sha224: { name: 'sha224', blockBytes: 64, digestBytes: 28 },
  sha256: { name: 'sha256', blockBytes: 64, digestBytes: 32 },
  sha384: { name: 'sha384', blockBytes: 128, digestBytes: 48 },
  sha512: { name: 'sha512', blockBytes: 128, digestBytes: 64 },
} as const satisfies Readonly<Record<string, DerivationHash>>;

const byOid = new Map<string, DerivationHash>([
  ['1.2.840.113549.2.5', hashes.md5],
  ['1.3.14.3.2.26', hashes.sha1],
  ['2.16.840.1.101.3.4.2.4', hashes.sha224],
  ['2.16.840.1.101.3.4.2.1', hashes.sha256],
  ['2.16.840.1.101.3.4.2.2', hashes.sha384],
  ['2.16.840.1.101.3.4.2.3', hashes.sha512],
]);

/** The hash of an OBJECT IDENTIFIER; undefined for one that is not supported. */
export function hashOf(oid: string): DerivationHash | undefined {
  return byOid.get(oid);
}
