import { spawnSync } from 'node:child_process';

/** The command line prefix that runs a program in a new mount namespace; the program must run `keepMounts` first. */
export const newMountNamespace = ['unshare', '--mount', '--propagation', 'unchanged'] as const;

/**
 * The shell command that makes the mounts of a new mount namespace private. Below a chroot `/` is not a mount point, and
 * the mount that contains it is reachable from the root of the namespace only, which is `/` after joining it.
 */
export const keepMounts = 'nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /';

/**
 * The command line prefix that runs a program whose `/` is a mount point, as containers require: below a chroot it
 * creates a mount namespace whose root is bound to /mnt first. Empty where `/` already is a mount point.
 */
export function rootAsMountPoint(): readonly string[] {
  const [unshare, ...prefix] = newMountNamespace;
  const asUsual = spawnSync(unshare, ['--mount', '--propagation', 'private', 'true']);
  if (asUsual.status === 0) return [];
  const mounts =
    'mkdir -p /mnt && mount -t tmpfs tmpfs /mnt && mkdir /mnt/root && mount --rbind / /mnt/root';
  // not by chroot: what joins the namespace later, as `docker exec` does, begins at the root of the namespace
  const pivot = `sh -c 'pivot_root . . && umount -l . && exec "$@"' sh "$@"`;
  const enter = `cd /mnt/root && exec nsenter --mount=/proc/self/ns/mnt --wd=. ${pivot}`;
  const script = `${keepMounts} && ${mounts} && ${enter}`;
  return [unshare, ...prefix, 'sh', '-c', script, 'sh'];
}

/** The command line prefix that runs a program with the root of a process: joining its mount namespace would leave a chroot. */
export function enterMountsOf(pid: number): readonly string[] {
  return ['nsenter', `--target=${pid}`, '--mount', '--root', '--wd', '--'];
}
