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
    // who caches accounts for the machine does not know the ones of this namespace
    `for daemon in /run/systemd /run/nscd; do`,
    `  if [ -d "$daemon" ]; then mount -t tmpfs -o mode=755 tmpfs "$daemon"; fi`,
    `done`,
  ];
}
