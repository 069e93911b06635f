/**
 * Shell commands that give a mount namespace its own /etc, a copy in which the files of `accounts` replace the
 * machine's. Mounts over single files would be lost as soon as another program replaces such a file, as every
 * installation that adds a user does.
 */
export function privateEtc(place: string, accounts: string): readonly string[] {
  return [
    `mount -t tmpfs -o mode=755 tmpfs '${place}'`,
    // a file that an installation removes meanwhile is missing in the copy, which is not a failure
    `tar -C /etc --create . 2>/dev/null | tar -C '${place}' --extract --same-owner -p --numeric-owner`,
    `rm -f '${place}/passwd' '${place}/group'`,
    `cp '${accounts}/passwd' '${accounts}/group' '${place}'`,
    `mount --move '${place}' /etc`,
  ];
}

/**
 * Shell commands that give a mount namespace its own /run, with one directory of the machine's and without its bus,
 * its systemd and its caches of accounts, which do not know the ones of this namespace.
 */
export function privateRun(place: string, directory: string): readonly string[] {
  return [
    `mount -t tmpfs -o mode=755 tmpfs '${place}'`,
    `mkdir -p '${place}/keep'`,
    `mount --bind '${directory}' '${place}/keep'`,
    // without an entry in /run/mount, which has just been covered
    `mount -n --move '${place}' /run`,
    `mkdir -p '${directory}' /run/lock`,
    `chmod 1777 /run/lock`,
    `mount --move /run/keep '${directory}'`,
    `rmdir /run/keep`,
  ];
}
