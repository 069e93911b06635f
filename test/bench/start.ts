import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rig } from '../support/rig/rig.ts';
import { activations } from './activation.ts';
import { idleIdentity, memory } from './memory.ts';
import type { Result } from './result.ts';

/** Activation and memory, with a token and without. */
export async function starts(rounds = 15): Promise<readonly Result[]> {
  await using rig = await Rig.start();
  const results = [await activations(rig, rounds, true), ...(await memory(rig))];
  await rig.stop('keys');
  await writeFile(join(rig.directory, 'config/keys.yaml'), '# no token\n');
  results.push(await activations(rig, rounds, false));
  results.push(...(await memory(rig, { libraries: 0, names: ['keys'] })));
  return [...results, await idleIdentity(rig)];
}
