import { ServiceError } from '../../errors.ts';
import { type HeldFile, holdTrusted } from './held-file.ts';

/** A service writes it at its first start. */
const mark = 'shown.json';

/**
 * The state directory of a service whose user has this uid; undefined when there is none. Failed for a directory that is
 * another user's and does not look like a state, AccessDenied as `holdTrusted`.
 */
export function holdState(path: string, uid: number | undefined): HeldFile | undefined {
  const top = holdTrusted(path);
  if (top === undefined || isState(top, uid)) return top;
  top[Symbol.dispose]();
  const problem = `${path} is not the state of a service: it is another user's, and has no ${mark}`;
  throw new ServiceError('Failed', problem);
}

function isState(top: HeldFile, uid: number | undefined): boolean {
  if (!top.stats.isDirectory()) return false;
  if (top.stats.uid === uid) return true;
  const names = top.names();
  return names.length === 0 || names.some((name) => name.toString() === mark);
}
