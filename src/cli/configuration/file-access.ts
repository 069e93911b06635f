import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A user with all groups of its processes. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gids: readonly number[];
}

/** Looks a user up in this machine's files; undefined when not found. */
export async function findUser(name: string): Promise<User | undefined> {
  const entries = async (database: string): Promise<readonly (readonly string[])[]> => {
    const text = await readFile(`/etc/${database}`, 'utf8').catch(() => ''); // no accounts without the file
    return text.split('\n').map((line) => line.split(':'));
  };
  const own = (await entries('passwd')).find(([first]) => first === name);
  if (own === undefined) return undefined;
  const groups = (await entries('group')).filter(([, , , members = '']) =>
    members.split(',').includes(name),
  );
  const gids = [own[3], ...groups.map(([, , gid]) => gid)].map(Number);
  return { name, uid: Number(own[2]), gids };
}

/** The first path, of this one and the directories above it, that denies a user access; undefined when none does. */
export async function obstacleTo(user: User, path: string): Promise<string | undefined> {
  if (user.uid === 0) return undefined;
  const above: string[] = [];
  for (let at = dirname(path); at !== above[0]; at = dirname(at)) above.unshift(at);
  for (const directory of above) {
    if (!(await may(user, directory, 0o1))) return directory;
  }
  return (await may(user, path, 0o4)) ? undefined : path;
}

async function may(user: User, path: string, bit: number): Promise<boolean> {
  try {
    const { mode, uid, gid } = await stat(path);
    if (uid === user.uid) return (mode & (bit << 6)) !== 0;
    return (mode & (user.gids.includes(gid) ? bit << 3 : bit)) !== 0;
  } catch {
    return true; // this process has no access itself, so cannot judge
  }
}
