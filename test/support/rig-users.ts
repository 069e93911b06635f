import { readFile, writeFile } from 'node:fs/promises';

/** The users of the rig: the four services, somebody who may do nothing, and an operator whom the rules let do everything. */
export const rigUsers = {
  'iotedge-keys': 59101,
  'iotedge-certificates': 59102,
  'iotedge-identity': 59103,
  'iotedge-modules': 59104,
  alice: 59120,
  operator: 59121,
} as const;

/** A user of the rig. */
export type RigUser = keyof typeof rigUsers;

const admins = { name: 'iotedge-admin', gid: 59110 };
const engineGroup = { name: 'docker', gid: 59111 };
const ours = new Set<string>([...Object.keys(rigUsers), admins.name]);

/** Writes private copies of /etc/passwd and /etc/group that have the users of the rig too. */
export async function writeUsers(directory: string): Promise<void> {
  const users = Object.entries(rigUsers);
  const passwd = users.map(([name, id]) => `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin`);
  const machine = await entries('/etc/group');
  const engine = machine.some((line) => nameOf(line) === engineGroup.name)
    ? machine.map((line) => (nameOf(line) === engineGroup.name ? withMember(line) : line))
    : [...machine, withMember(`${engineGroup.name}:x:${engineGroup.gid}:`)];
  const groups = users.map(([name, id]) => `${name}:x:${id}:`);
  groups.push(`${admins.name}:x:${admins.gid}:operator`);
  await write(`${directory}/passwd`, [...(await entries('/etc/passwd')), ...passwd]);
  await write(`${directory}/group`, [...engine, ...groups]);
}

/** The lines of an account file that are about others. */
async function entries(file: string): Promise<readonly string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.filter((line) => line !== '' && !ours.has(nameOf(line)));
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':'));
}

/** The engine's socket belongs to its group, which the runtime is in. */
function withMember(line: string): string {
  return `${line}${line.endsWith(':') ? '' : ','}iotedge-modules`;
}

function write(file: string, lines: readonly string[]): Promise<void> {
  return writeFile(file, `${lines.join('\n')}\n`);
}
