/**
 * Shell commands that give a mount namespace an /etc of its own, a copy in which the files of `accounts` replace the
 * machine's. A single file that is covered by a mount would lose it as soon as another program replaces that file,
 * as every installation that adds a user does.
 */
export function privateEtc(place: string, accounts: string): readonly string[] {
  return [
    `mount -t tmpfs -o mode=755 tmpfs '${place}'`,
    // a file that an installation removes meanwhile is missing in the copy, which is no failure
    `tar -C /etc --create . 2>/dev/null | tar -C '${place}' --extract --same-owner -p --numeric-owner`,
    `rm -f '${place}/passwd' '${place}/group'`,
    `cp '${accounts}/passwd' '${accounts}/group' '${place}'`,
    `mount --move '${place}' /etc`,
  ];
}

/**
 * Shell commands that give a mount namespace a /run of its own, in which there is one directory of the machine's:
 * neither its bus nor its systemd, nor what caches its accounts, which do not know the ones of this namespace.
 */
export function privateRun(place: string, directory: string): readonly string[] {
  return [
    `mount -t tmpfs -o mode=755 tmpfs '${place}'`,
    `mkdir -p '${place}/keep'`,
    `mount --bind '${directory}' '${place}/keep'`,
    // without a note in /run/mount, which has just gone
    `mount -n --move '${place}' /run`,
    `mkdir -p '${directory}' /run/lock`,
    `chmod 1777 /run/lock`,
    `mount --move /run/keep '${directory}'`,
    `rmdir /run/keep`,
  ];
}
