import type { ServiceDefinition } from '../../dbus/definition.ts';
import { type Command, exitCodes } from '../command.ts';
import { formatJson, printable } from '../output.ts';
import { Systemd } from '../systemd/manager.ts';
import { explainedState } from '../systemd/unit-state.ts';
import { namedServices, serviceUnit } from '../systemd/units.ts';
import { mayAsk, passwordOption, withTerminalAgent } from '../terminal-agent.ts';

interface Restarted {
  readonly service: string;
  /** systemd's word, `done` when it runs again. */
  readonly result: string;
  /** Why it does not run, else ``. */
  readonly problem: string;
}

/** `iotedgectl system restart`. */
export const systemRestart: Command = {
  words: 'system restart',
  summary: 'restart services and wait until they run again',
  about: `Without a name it restarts all four, each before those that call it: keys, certificates, identity, modules. A
service that was idle or had failed is started. Modules go on running while the Module Runtime restarts, and calls
that arrive meanwhile are answered afterwards. For a changed configuration 'config apply' is enough.`,
  more: 'service',
  options: passwordOption,
  async run(context) {
    const services = namedServices(context.positionals);
    const systemd = await Systemd.require(await context.bus(), { interactive: mayAsk(context) });
    const isJson = context.options['json'] === true;
    const found: Restarted[] = [];
    await withTerminalAgent(context, async () => {
      for (const service of services) {
        const restarted = await restart(systemd, service);
        found.push(restarted);
        if (!isJson) context.print(printable(lineOf(restarted)));
      }
    });
    if (isJson) context.print(formatJson(found));
    return found.every(({ problem }) => problem === '') ? exitCodes.ok : exitCodes.unavailable;
  },
};

async function restart(systemd: Systemd, service: ServiceDefinition): Promise<Restarted> {
  const unit = serviceUnit(service);
  await systemd.resetFailed(unit);
  const result = await systemd.job('RestartUnit', unit);
  const after = await explainedState(await systemd.unit(unit), unit);
  return { service: service.name, result, problem: problemOf(result, unit, after?.problem) };
}

/** Why a service does not run after a job, `` when it does. */
export function problemOf(result: string, unit: string, problem = ''): string {
  if (result === 'done') return '';
  if (problem !== '') return problem;
  return `systemd reports "${result}" for ${unit}: see 'iotedgectl system logs'`;
}

function lineOf({ service, problem }: Restarted): string {
  return problem === '' ? `${service}: restarted` : `${service}: not restarted: ${problem}`;
}
