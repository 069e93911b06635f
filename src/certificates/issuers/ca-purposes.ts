import { ServiceError } from '../../errors.ts';
import type { CaPath } from '../../x509/chain.ts';
import type { ProfileRights } from './profile.ts';

const anyPurpose = '2.5.29.37.0';

/** Throws InvalidArgs when a CA of a path is limited to other purposes than these. */
export function checkPurposes(path: CaPath, { extendedKeyUsage: wanted }: ProfileRights): void {
  for (const { extendedKeyUsage: allowed, subjectText } of path) {
    if (allowed === undefined || allowed.includes(anyPurpose)) continue;
    const missing = wanted.find((purpose) => !allowed.includes(purpose));
    if (missing === undefined) continue;
    throw new ServiceError('InvalidArgs', `${subjectText} may not issue for ${missing}`);
  }
}
