import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../../errors.ts';
import { services } from '../systemd/units.ts';
import { type HeldFile, holdTrusted } from './held-file.ts';
import { holdState } from './held-state.ts';
import {
  changeText,
  configurationChange,
  type FileFacts,
  type Owner,
  type OwnerChange,
  type Refusal,
  stateChange,
} from './owners.ts';
import type { Steps } from './steps.ts';

/** The group and the user of each service that exist on this machine, by the name of the service. */
export async function serviceOwners(): Promise<ReadonlyMap<string, Owner>> {
  const { findUser } = await import('../configuration/file-access.ts'); // other verbs start without it
  const found = await Promise.all(
    services.map(async ({ name, user }) => [name, await findUser(user)] as const),
  );
  return new Map(
    found.flatMap(([name, user]) => {
      if (user === undefined) return [];
      const [gid = user.uid] = user.gids;
      return [[name, { name: `${user.name}:${user.name}`, uid: user.uid, gid }]];
    }),
  );
}

/** Mends owners and modes of the configuration files of all services; returns what was left, and why. */
export async function mendConfiguration(
  dir: string,
  owners: ReadonlyMap<string, Owner>,
  steps: Steps,
): Promise<readonly string[]> {
  const left: string[] = [];
  const mend = async (path: string, service: { isKeys: boolean; group: Owner }) => {
    try {
      using held = holdTrusted(path);
      if (held === undefined) return [];
      await change(held, configurationChange(factsOf(held), service), { left, steps });
      return held.stats.isDirectory() ? held.names().map(String) : [];
    } catch (error) {
      left.push(describeError(error));
      return [];
    }
  };
  for (const { name } of services) {
    const owner = owners.get(name);
    if (owner === undefined) continue;
    const group = { ...owner, name: `root:${owner.name.split(':').pop()}` };
    const service = { isKeys: name === 'keys', group };
    await mend(dir, service);
    await mend(join(dir, `${name}.yaml`), service);
    const dropIns = join(dir, `${name}.d`);
    for (const file of await mend(dropIns, service)) {
      if (file.endsWith('.yaml')) await mend(join(dropIns, file), service);
    }
  }
  return left;
}

/** Mends owners and modes of a state directory and of all below it; returns what was left, and why. */
export async function mendState(
  path: string,
  owner: Owner,
  steps: Steps,
): Promise<readonly string[]> {
  const left: string[] = [];
  const protectsLinks = protectsHardLinks();
  const mend = async (held: HeldFile, isTop: boolean): Promise<void> => {
    const wanted = stateChange(factsOf(held), { owner, isTop, protectsLinks });
    await change(held, wanted, { left, steps });
    if (!held.stats.isDirectory()) return;
    for (const child of held.children()) await mend(child, false);
  };
  try {
    using top = holdState(path, owner.uid);
    if (top !== undefined) await mend(top, true);
  } catch (error) {
    left.push(describeError(error));
  }
  return left;
}

async function change(
  held: HeldFile,
  wanted: OwnerChange | Refusal | undefined,
  { left, steps }: { readonly left: string[]; readonly steps: Steps },
): Promise<void> {
  if (wanted === undefined) return;
  if ('refusal' in wanted) {
    left.push(`${held.path} is not touched: ${wanted.refusal}`);
    return;
  }
  await steps.take(changeText(factsOf(held), wanted), () => {
    held.setOwner(wanted.owner.uid, wanted.owner.gid);
    held.setMode(wanted.mode);
  });
}

function factsOf({ path, stats }: HeldFile): FileFacts {
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other';
  const { uid, gid, mode, nlink: links } = stats;
  return { path, kind, uid, gid, mode: mode & 0o7777, links };
}

function protectsHardLinks(): boolean {
  try {
    return readFileSync('/proc/sys/fs/protected_hardlinks', 'utf8').trim() !== '0';
  } catch {
    return false;
  }
}
