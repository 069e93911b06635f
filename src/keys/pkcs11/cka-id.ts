import { randomBytes } from 'node:crypto';
import type { Usage } from '../algorithm.ts';

/**
 * What the CKA_ID of a base key begins with. The token itself says so because records get lost: used as an
 * ordinary key, a base key would hand out every key that is derived from it.
 */
const BASE_MARK = Buffer.from('ioedbase');
const LENGTH = 16;

/** A CKA_ID for the objects of a new key. */
export function newCkaId(usages: readonly Usage[]): Buffer {
  const mark = usages.includes('derive') ? BASE_MARK : Buffer.alloc(0);
  return Buffer.concat([mark, randomBytes(LENGTH - mark.length)]);
}

/** Whether a CKA_ID is that of a base key of this service, or of another one like it. */
export function isBaseKey(ckaId: Buffer): boolean {
  return ckaId.subarray(0, BASE_MARK.length).equals(BASE_MARK);
}
