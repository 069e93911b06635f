import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Rules of an administrator: operators are allowed everything, other users nothing. */
export const operatorsMayDoEverything = `polkit.addRule(function (action, subject) {
  if (action.id.indexOf("org.iotedge.") === 0 && subject.isInGroup("iotedge-admin")) {
    return polkit.Result.YES;
  }
});
`;

/** Writes polkit's directories, with the project's actions and the given rules. */
export async function writePolkitFiles(
  directory: string,
  policies: string,
  rules: string,
): Promise<void> {
  const actions = join(directory, 'polkit/share/actions');
  for (const folder of [
    actions,
    join(directory, 'polkit/share/rules.d'),
    rulesOf(directory),
    join(directory, 'polkit/empty'),
  ]) {
    await mkdir(folder, { recursive: true });
  }
  const files = (await readdir(policies)).filter((name) => name.endsWith('.policy'));
  for (const name of files) await cp(join(policies, name), join(actions, name));
  await writeRules(directory, rules);
}

/** Replaces the rules; polkitd notices the change and emits `Changed`. */
export function writeRules(directory: string, rules: string): Promise<void> {
  return writeFile(join(rulesOf(directory), '60-rig.rules'), rules);
}

function rulesOf(directory: string): string {
  return join(directory, 'polkit/etc/rules.d');
}

/** Mounts the rig's directories over those of polkit, which are compiled in. */
export function polkitMounts(directory: string): readonly string[] {
  const empty = `${directory}/polkit/empty`;
  return [
    `mount --bind '${directory}/polkit/share' /usr/share/polkit-1`,
    `mount --bind '${directory}/polkit/etc' /etc/polkit-1`,
    `for other in /usr/local/share/polkit-1 /run/polkit-1; do`,
    `  if [ -d "$other" ]; then mount --bind '${empty}' "$other"; fi`,
    `done`,
  ];
}
