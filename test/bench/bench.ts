// Prints the performance of the services against a floor that is measured in the same run, alternating with them.
import { parseArgs } from 'node:util';
import { against } from './against.ts';
import { certificates } from './certificates/certificates.ts';
import { floods } from './hostile/flood.ts';
import { stalls } from './hostile/stall.ts';
import { modules } from './modules/modules.ts';
import { pings } from './ping.ts';
import { rates } from './rates.ts';
import type { Result } from './result.ts';
import { starts } from './start/start.ts';
import { systems } from './start/system.ts';

const usage = `usage: bench [--rounds N]        rates, start and ping
       bench [--rounds N] rates  echo and Sign, against their parts and against p11-kit
       bench [--rounds N] start  activation and memory
       bench [--rounds N] ping   a caller of Keys while its PKCS#11 library sleeps
       bench [--rounds N] system  activation by a booted systemd, its boot to a running module, iotedgectl status
       bench [--rounds N] modules [start] [death] [foreign] [sign] [resources] [scale]  containers, requests of modules, a hundred modules
       bench [--rounds N] certificates [issue] [many]  Issue from a local CA, a thousand certificates
       bench flood [KIND]        a caller beside a flood of hostile messages
       bench stall               a caller beside one that sends calls and never reads
       bench [--rounds N] --against DIRECTORY  rates and start against the finished build of another checkout`;

type Suite = (rounds?: number, ...args: string[]) => Promise<readonly Result[]>;

const suites: Readonly<Record<string, Suite>> = {
  all: async (rounds) => [
    ...(await rates(rounds)),
    ...(await starts(rounds)),
    ...(await pings(rounds)),
  ],
  rates,
  start: starts,
  ping: pings,
  system: systems,
  modules,
  certificates,
  flood: (_, only) => floods(only),
  stall: stalls,
};

async function main(args: string[]): Promise<void> {
  const options = {
    rounds: { type: 'string' },
    against: { type: 'string' },
    help: { type: 'boolean' },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help === true) {
    console.log(usage);
    return;
  }
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
