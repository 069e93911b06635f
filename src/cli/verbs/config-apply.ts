import { keepSockets } from '../apply/keep-sockets.ts';
import { mendConfiguration, mendState, serviceOwners } from '../apply/mend-files.ts';
import type { Owner } from '../apply/owners.ts';
import { type Applied, reloadService } from '../apply/reload-services.ts';
import { dryRunOption, Steps } from '../apply/steps.ts';
import { type Command, type CommandContext, exitCodes } from '../command.ts';
import { configDirectory, requireRoot } from '../config-directory.ts';
import { byService, type Configurations, statesOf } from '../configuration/configurations.ts';
import { formatJson, printable } from '../output.ts';
import { Systemd } from '../systemd/manager.ts';
import { explainedState } from '../systemd/unit-state.ts';
import { alwaysRuns, services, serviceUnit } from '../systemd/units.ts';

/** `iotedgectl config apply`. */
export const configApply: Command = {
  words: 'config apply',
  summary: 'put the configuration files into force, without losing a call',
  about: `Run it as root after an edit of /etc/iotedge. It

  1. sets owners and modes of the files: keys.yaml and keys.d are for root and the Keys service alone;
  2. runs 'config check' and stops when that finds something: nothing below is done then;
  3. mends owners and modes of the state in /var/lib/iotedge, after a backup was restored, say;
  4. makes the socket units listen where modules.yaml says (listen), and restarts them when that changed;
  5. lets each service that runs read its files again, and waits up to 5 s until they are in force.

A service that is idle reads its files when it starts. The files themselves are never rewritten. It prints a line for
each thing that it changes, and fails when a service still runs with its previous configuration.`,
  options: dryRunOption,
  async run(context) {
    const steps = new Steps(context);
    if (!steps.isDryRun) requireRoot('config apply');
    const dir = configDirectory({ options: {} });
    const owners = await serviceOwners();
    const left = [...missing(owners), ...(await mendConfiguration(dir, owners, steps))];
    const check = await import('../configuration/check.ts');
    const found = await check.checkConfigurations(dir);
    const code = check.exitCodeOf(found);
    const isJson = context.options['json'] === true;
    if (!isJson && code === exitCodes.ok) check.printWarnings(found.warnings, context.print);
    if (!isJson && code !== exitCodes.ok) check.printFindings(found, dir, context.print);
    const outcome =
      code === exitCodes.ok
        ? await apply(found.placed, { context, owners, steps })
        : { services: [], problems: [] };
    const problems = [...left, ...outcome.problems];
    if (isJson) {
      const findings = check.inJson(found);
      context.print(
        formatJson({ steps: steps.all, findings, services: outcome.services, problems }),
      );
    } else report(problems, outcome.services, { context, steps });
    if (code !== exitCodes.ok) return code;
    const isInForce = outcome.services.every(({ state }) => state !== 'refused');
    return problems.length === 0 && isInForce ? exitCodes.ok : exitCodes.failed;
  },
};

interface Outcome {
  readonly services: readonly Applied[];
  readonly problems: readonly string[];
}

interface Tools {
  readonly context: CommandContext;
  readonly owners: ReadonlyMap<string, Owner>;
  readonly steps: Steps;
}

function missing(owners: ReadonlyMap<string, Owner>): readonly string[] {
  return services
    .filter(({ name }) => !owners.has(name))
    .map(({ user }) => `no user ${user}: install the package again, or run systemd-sysusers`);
}

async function apply(placed: Configurations, { context, owners, steps }: Tools): Promise<Outcome> {
  const problems: string[] = [];
  for (const [name, state] of statesOf(placed)) {
    const owner = owners.get(name);
    if (owner !== undefined) problems.push(...(await mendState(state, owner, steps)));
  }
  const bus = await context.bus();
  const systemd = await Systemd.find(bus);
  if (systemd === undefined) {
    const advice = 'services that run read their files again when they get the signal SIGHUP';
    return { services: [], problems: [...problems, `no systemd on this bus: ${advice}`] };
  }
  const sockets = placed.modules && (await keepSockets(placed.modules.config, { systemd, steps }));
  problems.push(...(sockets?.problems ?? []));
  const applied: Applied[] = [];
  for (const service of services) {
    if (service.name === alwaysRuns && sockets?.isRestarted === true) continue;
    const digest = byService(placed).get(service.name)?.digest ?? '';
    applied.push(await reloadService(service, digest, { bus, systemd, steps }));
  }
  problems.push(...(await stoppedRuntime(systemd)));
  return { services: applied, problems };
}

/** Why the Module Runtime, which always runs, does not: it will not read its files by itself. */
async function stoppedRuntime(systemd: Systemd): Promise<readonly string[]> {
  const unit = serviceUnit({ name: alwaysRuns });
  const state = await explainedState(await systemd.unit(unit), unit);
  if (state === undefined || state.problem === '' || state.active === 'inactive') return [];
  return [`${state.problem}: 'iotedgectl system restart ${alwaysRuns}' starts it again`];
}

function report(
  problems: readonly string[],
  applied: readonly Applied[],
  { context: { print }, steps }: Pick<Tools, 'context' | 'steps'>,
): void {
  const refused = applied.filter(({ state }) => state === 'refused');
  for (const { service, problem } of refused) print(printable(`${service}: ${problem}`));
  for (const problem of problems) print(printable(problem));
  if (refused.length + problems.length > 0) return;
  if (steps.all.length === 0 && applied.length > 0)
    print('nothing to do: no service runs, and all files are in order');
}
