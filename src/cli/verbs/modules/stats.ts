import { ServiceError } from '../../../errors.ts';
import { modulesService } from '../../../interfaces/modules.ts';
import { type Command, exitCodes } from '../../command.ts';
import { describeService } from '../../description.ts';
import { Interrupt } from '../../interrupt.ts';
import { engineProblem } from '../../modules/engine-problem.ts';
import { type ModuleUse, moduleUse, useTable } from '../../modules/resources.ts';
import { moduleNames, Runtime } from '../../modules/runtime.ts';
import { formatJson } from '../../output.ts';
import { pause } from '../../pause.ts';

const intervalMs = 2000;
/** To the first place of the screen; from there to its end. */
const home = '\x1b[H';
const clearBelow = '\x1b[J';
const clearScreen = '\x1b[2J';

/** `iotedgectl modules stats`. */
export const modulesStats: Command = {
  words: 'modules stats',
  summary: 'what running modules use: processor, memory, network, disk, processes',
  about: `At a terminal it goes on until it is interrupted, and shows new values every 2 seconds. CPU is in percent of
one processor. Without names it shows all modules that run.`,
  more: 'name',
  options: { 'no-stream': { type: 'boolean', help: 'print once, as without a terminal' } },
  async run(context) {
    const { options, print, positionals } = context;
    const names = moduleNames({ positionals });
    const runtime = await Runtime.connect(context);
    for (const name of names) await runtime.require(name);
    if (options['json'] === true) {
      print(formatJson(await usesOf(runtime, names)));
      return exitCodes.ok;
    }
    if (options['no-stream'] === true || !process.stdout.isTTY) {
      print(useTable(await usesOf(runtime, names)));
      return exitCodes.ok;
    }
    return refresh(runtime, names);
  },
};

async function usesOf(runtime: Runtime, names: readonly string[]): Promise<readonly ModuleUse[]> {
  const { resources } = await runtime.call((methods, options) =>
    methods.GetResources({ options: {} }, options),
  );
  const uses = resources.modules.map(moduleUse);
  if (uses.length === 0) await requireEngine(runtime);
  const isShown = ({ name, processes }: ModuleUse) =>
    names.length === 0 ? processes > 0 : names.includes(name);
  return uses.filter(isShown);
}

/** Unavailable while the container engine is: no module is reported then. */
async function requireEngine({ bus }: Runtime): Promise<void> {
  const problem = engineProblem(await describeService(bus, modulesService));
  if (problem !== undefined) throw new ServiceError('Unavailable', problem);
}

/** Shows the table in the same place until it is interrupted. */
async function refresh(runtime: Runtime, names: readonly string[]): Promise<number> {
  using interrupt = new Interrupt();
  process.stdout.write(clearScreen);
  while (!interrupt.signal.aborted) {
    const table = useTable(await usesOf(runtime, names));
    const lines = table.split('\n').map((line) => `${line}\x1b[K`);
    process.stdout.write(`${home}${lines.join('\n')}\n${clearBelow}`);
    await pause(intervalMs, interrupt.signal);
  }
  return exitCodes.ok;
}
