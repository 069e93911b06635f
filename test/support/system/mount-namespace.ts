import { spawnSync } from 'node:child_process';

/** The words that run a program in a new mount namespace; what it runs first has to be `keepMounts`. */
export const newMountNamespace = ['unshare', '--mount', '--propagation', 'unchanged'] as const;

/**
 * The shell command after which mounts in a new mount namespace stay there. Below a chroot `/` is no mount point, and
 * the mount that it lies in can be reached from the root of the namespace only: there one is after joining it.
 */
export const keepMounts = 'nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /';

/**
 * The words that run a program whose `/` is a mount point, as containers want it: below a chroot that takes a mount
 * namespace in which the root lies below /mnt once more. Empty where it is one already.
 */
export function rootAsMountPoint(): readonly string[] {
  const [unshare, ...words] = newMountNamespace;
  const asUsual = spawnSync(unshare, ['--mount', '--propagation', 'private', 'true']);
  if (asUsual.status === 0) return [];
  const mounts =
    'mkdir -p /mnt && mount -t tmpfs tmpfs /mnt && mkdir /mnt/root && mount --rbind / /mnt/root';
  const script = `${keepMounts} && ${mounts} && exec chroot /mnt/root "$@"`;
  return [unshare, ...words, 'sh', '-c', script, 'sh'];
}

/** The words that run a program where a process is: joining a mount namespace alone would leave a chroot. */
export function enterMountsOf(pid: number): readonly string[] {
  return ['nsenter', `--target=${pid}`, '--mount', '--root', '--wd', '--'];
}
