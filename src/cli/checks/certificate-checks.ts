import { certificateView } from '../certificates/certificate-view.ts';
import { type Concern, concernsOf } from '../certificates/concern.ts';
import type { Description } from '../description.ts';
import { allIsWell, type Check, problemCount } from './check-result.ts';

const renewals: ReadonlySet<Concern['kind']> = new Set(['stuck', 'missing', 'failing']);
/** What fails now, or will not be mended by the service itself. */
const errors: ReadonlySet<Concern['kind']> = new Set(['expired', 'damaged', 'stuck']);

/** The checks on the certificates that the service holds. */
export function certificateChecks(
  { objects }: Pick<Description, 'objects'>,
  now: Date,
): readonly Check[] {
  const all = Object.entries(objects).map(([id, object]) => certificateView(id, object));
  const concerns = concernsOf(all, now);
  const isStuck = new Set(all.filter(({ state }) => state === 'stuck').map(({ id }) => id));
  const ofRenewal = concerns.filter(({ id, kind }) => renewals.has(kind) || isStuck.has(id));
  const ofExpiry = concerns.filter(({ kind }) => !renewals.has(kind));
  return [
    { name: 'expiry of certificates', ...resultOf(ofExpiry, 'none expires soon') },
    { name: 'renewal of certificates', ...resultOf(ofRenewal, 'none is stuck') },
  ];
}

function resultOf(concerns: readonly Concern[], usual: string): Omit<Check, 'name'> {
  if (concerns.length === 0) return { outcome: usual, ...allIsWell };
  return {
    outcome: problemCount(concerns.length),
    result: concerns.some(({ kind }) => errors.has(kind)) ? 'error' : 'warning',
    details: concerns.map(({ id, text }) => `${id}: ${text}`),
    advice: concerns.map(({ id, advice }) => `${id}: ${advice}`),
  };
}
