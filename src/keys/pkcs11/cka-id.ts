import { randomBytes } from 'node:crypto';
import type { Usage } from '../algorithm.ts';

/**
 * What the CKA_ID of a base key begins with. The token itself says so because records get lost: used as an
 * ordinary key, a base key would hand out every key that is derived from it.
 */
const baseMark = Buffer.from('ioedbase');
const ckaIdBytes = 16;

/** A CKA_ID for the objects of a new key. */
export function newCkaId(usages: readonly Usage[]): Buffer {
  const mark = usages.includes('derive') ? baseMark : Buffer.alloc(0);
  return Buffer.concat([mark, randomBytes(ckaIdBytes - mark.length)]);
}

/** Whether a CKA_ID is that of a base key of this service, or of another one like it. */
export function isBaseKey(ckaId: Buffer): boolean {
  return ckaId.subarray(0, baseMark.length).equals(baseMark);
}
