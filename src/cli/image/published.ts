/** The certificates that the Certificates service keeps as files for other programs. */
import { basename } from 'node:path';
import { ServiceError } from '../../errors.ts';
import { type HeldFile, holdTrusted } from '../apply/held-file.ts';
import { count, removeWhole } from './empty-directory.ts';

/** Names in the directory of published certificates. */
const [stagingName, linkName] = ['.staging', 'current'];

/**
 * The number of files and directories that the user with this uid has in the directory of published certificates. Failed
 * when another user has certificates there, AccessDenied as `holdTrusted`.
 */
export function countPublished(path: string, uid: number | undefined): number {
  let found = 0;
  withOwn(path, uid, (child) => {
    found += child.stats.isDirectory() ? 1 + count(child) : 1;
  });
  return found;
}

/**
 * Removes what the user with this uid has in the directory of published certificates. What others have there stays: the
 * service leaves it, too. Fails as `countPublished`, and then removes nothing.
 */
export function removePublished(path: string, uid: number | undefined): void {
  countPublished(path, uid);
  withOwn(path, uid, (child, top) => removeWhole(top, child));
}

function withOwn(
  path: string,
  uid: number | undefined,
  act: (child: HeldFile, top: HeldFile) => void,
): void {
  using top = holdTrusted(path);
  if (top?.stats.isDirectory() !== true) return;
  for (const child of top.children()) {
    // in a directory of another user the service publishes nothing
    if (child.stats.uid === uid && top.stats.uid === uid) act(child, top);
    else if (isPublished(child)) {
      const problem = `${child.path} has certificates of another user than the Certificates service: remove it yourself`;
      throw new ServiceError('Failed', problem);
    }
  }
}

/** Whether a directory is one that the service makes, whatever user owns it: after a restored backup, say. */
function isPublished(directory: HeldFile): boolean {
  if (!directory.stats.isDirectory()) return false;
  if (basename(directory.path) === stagingName) return true;
  using link = directory.child(Buffer.from(linkName));
  return link?.stats.isSymbolicLink() === true;
}
