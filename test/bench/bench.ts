// Prints the performance of the services against a floor that is measured in the same run, alternating with them.
// usage: bench [--rounds N] [all]  rates, start and memory
//        bench flood [KIND]        a caller beside a flood of hostile messages
//        bench stall               a caller beside one that sends calls and never reads
//        bench [--rounds N] --against DIRECTORY  the same against the finished build of another checkout
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { activations } from './activation.ts';
import { against } from './against.ts';
import { EchoBench } from './echo.ts';
import { floods } from './hostile/flood.ts';
import { stalls } from './hostile/stall.ts';
import { memory } from './memory.ts';
import { rates } from './rates.ts';
import type { Result } from './result.ts';
import { SignBench } from './sign/sign.ts';

async function measure(rounds = 15): Promise<readonly Result[]> {
  await using echo = await EchoBench.start();
  await using sign = await SignBench.start(echo.client);
  const { rig } = sign;
  const results = [...(await rates(echo, sign, rounds))];
  results.push(await activations(rig, rounds), ...(await memory(rig)));
  await rig.stop('keys');
  await writeFile(join(rig.directory, 'config/keys.yaml'), '# no token\n');
  results.push(await activations(rig, rounds, false));
  results.push(...(await memory(rig, { libraries: 0, names: ['keys'] })));
  return results;
}

const suites: Readonly<
  Record<string, (rounds?: number, ...args: string[]) => Promise<readonly Result[]>>
> = {
  all: measure,
  flood: (_, only) => floods(only),
  stall: stalls,
};

async function main(args: string[]): Promise<void> {
  const options = {
    rounds: { type: 'string' },
    against: { type: 'string' },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (values.against !== undefined) {
    process.exitCode = (await against(values.against, rounds)) ? 0 : 1;
    return;
  }
  const [name = 'all', ...rest] = positionals;
  const suite = suites[name];
  if (suite === undefined) throw new Error(`there is ${Object.keys(suites).join(', ')}`);
  const line = ({ ratio, ...other }: Result) => ({ ...other, ratio: ratio?.toFixed(2) });
  console.table((await suite(rounds, ...rest)).map(line));
}

void main(process.argv.slice(2));
