import { readFile, writeFile } from 'node:fs/promises';
import type { Identity } from '../identity/identity.ts';

/** The users of the rig: the four services, alice without permissions, and an operator whom the rules allow everything. */
export const rigUsers = {
  'iotedge-keys': 59101,
  'iotedge-certificates': 59102,
  'iotedge-identity': 59103,
  'iotedge-modules': 59104,
  alice: 59120,
  operator: 59121,
} as const;

export type RigUser = keyof typeof rigUsers;

/** The group that may connect to an engine. */
export const engineGroup = 59111;

/** Supplementary groups of users. */
const members: readonly { readonly name: string; readonly gid: number; readonly user: RigUser }[] =
  [
    { name: 'iotedge-admin', gid: 59110, user: 'operator' },
    { name: 'docker', gid: engineGroup, user: 'iotedge-modules' },
  ];
const ours = new Set<string>([...Object.keys(rigUsers), ...members.map(({ name }) => name)]);

/** The ids of a user of the rig. */
export function identityOf(user: string): Identity {
  const [, id] = Object.entries(rigUsers).find(([name]) => name === user) ?? [];
  if (id === undefined) throw new TypeError(`the rig has no user ${user}`);
  const groups = members.filter((group) => group.user === user).map(({ gid }) => gid);
  return { uid: id, gid: id, groups };
}

/** Writes private copies of /etc/passwd and /etc/group, with the users of the rig added. */
export async function writeUsers(directory: string): Promise<void> {
  const users = Object.entries(rigUsers);
  const passwd = users.map(([name, id]) => `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin`);
  const groups = users.map(([name, id]) => `${name}:x:${id}:`);
  groups.push(...members.map(({ name, gid, user }) => `${name}:x:${gid}:${user}`));
  await write(`${directory}/passwd`, [...(await entries('/etc/passwd')), ...passwd]);
  await write(`${directory}/group`, [...(await entries('/etc/group')), ...groups]);
}

/** The lines of an account file about other users. */
async function entries(file: string): Promise<readonly string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.filter((line) => line !== '' && !ours.has(nameOf(line)));
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':'));
}

function write(file: string, lines: readonly string[]): Promise<void> {
  return writeFile(file, `${lines.join('\n')}\n`);
}
