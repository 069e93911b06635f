import type { Result } from '../result.ts';
import { deaths } from './death.ts';
import { BenchDevice } from './device.ts';
import { foreignChanges } from './foreign.ts';
import { resources } from './resources.ts';
import { scales } from './scale.ts';
import { signs } from './sign.ts';
import { starts } from './start.ts';

const parts = {
  start: async (device: BenchDevice, rounds: number) => [await starts(device, rounds)],
  death: async (device: BenchDevice, rounds: number) => [await deaths(device, rounds)],
  foreign: async (device: BenchDevice, rounds: number) => [await foreignChanges(device, rounds)],
  resources,
  sign: signs,
  scale: scales,
} as const;

/** The Module Runtime: starts and deaths of containers, signatures of modules, and a hundred modules. */
export async function modules(rounds = 9, ...only: string[]): Promise<readonly Result[]> {
  await using device = await BenchDevice.start();
  const results: Result[] = [];
  for (const [name, measure] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue;
    results.push(...(await measure(device, rounds)));
  }
  return results;
}
