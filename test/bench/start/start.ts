import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rig } from '../../support/rig/rig.ts';
import type { Result } from '../result.ts';
import { activations } from './activation.ts';
import { idleMemory, memory } from './memory.ts';

/** Activation and memory, with a token and without. */
export async function starts(rounds = 15): Promise<readonly Result[]> {
  await using rig = await Rig.start();
  const results = [await activations(rig, rounds, true), ...(await memory(rig))];
  results.push(...(await idleMemory(rig)));
  await rig.stop('keys');
  await writeFile(join(rig.directory, 'config/keys.yaml'), '# no token\n');
  const names = ['keys'] as const;
  return [
    ...results,
    await activations(rig, rounds, false),
    ...(await memory(rig, { libraries: 0, names })),
  ];
}
