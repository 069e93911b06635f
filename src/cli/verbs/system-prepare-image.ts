import type { Bus } from '../../dbus/bus.ts';
import { ServiceError } from '../../errors.ts';
import { keysService } from '../../interfaces/keys.ts';
import { serviceOwners } from '../apply/mend-files.ts';
import { foreignState, misplacedStates } from '../apply/state-place.ts';
import { dryRunOption, Steps } from '../apply/steps.ts';
import { type Command, type CommandContext, exitCodes, UsageError } from '../command.ts';
import { configDirectory, requireRoot } from '../config-directory.ts';
import { describeService } from '../description.ts';
import { countFiles, emptyDirectory } from '../image/empty-directory.ts';
import { moduleContainers, removeContainer } from '../image/engine.ts';
import { ownTokenKeys, refusalOf, unitsToStop } from '../image/plan.ts';
import { formatJson, printable } from '../output.ts';
import { Systemd } from '../systemd/manager.ts';
import { services } from '../systemd/units.ts';

/** `iotedgectl system prepare-image`. */
export const systemPrepareImage: Command = {
  words: 'system prepare-image',
  summary: 'remove what tells this device from another, before its disk is copied',
  about: `Every copy of a disk would otherwise be the same device: it would have its keys, and sign in to the cloud as it.
This command removes, for good:

  - the state of all four services: keys in files, certificates, the identity, the modules that were created;
  - the containers of modules, with what they stored in themselves (images and named volumes stay);
  - keys in tokens, but only those that --token-keys names: a copy of the disk does not have the token.

It keeps /etc/iotedge: look for a hostname or registration_id there. /etc/machine-id belongs to the system, see
machine-id(5). It refuses while a module runs. The services are stopped and cannot start before the next boot: power
off, copy the disk. A device that boots with it begins anew.`,
  options: {
    ...dryRunOption,
    yes: { type: 'boolean', help: 'do not ask; needed where nobody can answer' },
    'token-keys': {
      type: 'string',
      value: 'ID,ID',
      help: 'delete these keys from their tokens, too',
    },
  },
  async run(context) {
    requireRoot('system prepare-image');
    const { options, print } = context;
    const places = await placesOf();
    const bus = await context.bus();
    const systemd = await Systemd.require(bus);
    const given = options['token-keys'];
    const named = typeof given === 'string' ? given.split(',').filter((id) => id !== '') : [];
    const containers = await moduleContainers(places.engineSocket);
    const inToken = await tokenKeys(bus, named);
    const refusal = refusalOf(containers, { named, inToken });
    if (refusal !== undefined) throw new ServiceError('Unavailable', refusal);
    const steps = new Steps(context);
    if (!steps.isDryRun) await confirm(context);
    for (const id of named)
      await steps.take(`key "${id}": deleted from its token`, () => deleteKey(bus, id));
    await stopAll(systemd, steps);
    for (const container of containers) {
      const text = `module "${container.module}": container removed`;
      await steps.take(text, () => removeContainer(places.engineSocket, container));
    }
    for (const [name, state] of places.states) {
      const files = countFiles(state) ?? 0;
      if (files === 0) continue;
      await steps.take(`${name}: ${files} files removed from ${state}`, () =>
        emptyDirectory(state),
      );
    }
    const left = inToken.filter((id) => !named.includes(id));
    if (options['json'] === true) print(formatJson({ steps: steps.all, left_in_tokens: left }));
    else advise(left, { print, isDryRun: steps.isDryRun });
    return exitCodes.ok;
  },
};

interface Places {
  readonly states: ReadonlyMap<string, string>;
  readonly engineSocket: string;
}

/** Where the configuration says that things are. */
async function placesOf(): Promise<Places> {
  const check = await import('../configuration/check.ts');
  const { placed } = await check.checkConfigurations(configDirectory({ options: {} }));
  const { keys, certificates, identity, modules } = placed;
  if (!keys || !certificates || !identity || !modules) {
    const problem =
      "the configuration says where the state lies, and is wrong: 'iotedgectl config check'";
    throw new ServiceError('Failed', problem);
  }
  const configs = [keys, certificates, identity, modules].map(({ config }) => config);
  const states = services.map(({ name }, at) => {
    const { homedir_path: path, homedir } = configs[at] ?? {};
    return [name, path ?? homedir ?? `/var/lib/iotedge/${name}`] as const;
  });
  await requirePlaces(new Map(states));
  return { states: new Map(states), engineSocket: modules.config.engineSocket };
}

/** Throws for a state directory that holds something else. */
async function requirePlaces(states: ReadonlyMap<string, string>): Promise<void> {
  const owners = await serviceOwners();
  const misplaced = misplacedStates(states);
  for (const [name, state] of states) {
    const problem = misplaced.get(name) ?? foreignState(state, owners.get(name)?.uid);
    if (problem !== undefined) throw new ServiceError('Failed', `nothing is removed: ${problem}`);
  }
}

/** The keys in tokens that can be deleted; none when the Keys service does not describe them and none was asked for. */
async function tokenKeys(bus: Bus, named: readonly string[]): Promise<readonly string[]> {
  try {
    const { objects } = await describeService(bus, keysService);
    return ownTokenKeys(Object.entries(objects));
  } catch (error) {
    if (named.length > 0) throw error;
    return [];
  }
}

async function deleteKey(bus: Bus, id: string): Promise<void> {
  const { busName: destination, path, manager } = keysService;
  const call = { destination, path, interface: manager.name, member: 'DeleteKey' };
  await bus.call({ ...call, signature: 'sa{sv}', body: [id, {}] });
}

/** Stops all units so that no call, timer or connection starts one again. */
async function stopAll(systemd: Systemd, steps: Steps): Promise<void> {
  const units = unitsToStop(services);
  await steps.take('services: cannot start before the next boot', () =>
    systemd.maskUntilBoot(units),
  );
  for (const unit of units) {
    const state = (await systemd.unit(unit)).get('ActiveState');
    if (state === 'inactive' || state === 'failed') continue;
    await steps.take(`${unit}: stopped`, async () => {
      const result = await systemd.job('StopUnit', unit);
      if (result === 'done') return;
      throw new ServiceError(
        'Unavailable',
        `${unit} was not stopped (${result}): nothing is removed`,
      );
    });
  }
}

async function confirm({ options }: CommandContext): Promise<void> {
  if (options['yes'] === true) return;
  if (!process.stdin.isTTY) throw new UsageError('nobody can be asked here: add --yes');
  const { createInterface } = await import('node:readline/promises'); // other verbs start without it
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const question =
      'This removes the keys and the identity of this device and its modules, for good. Type yes to go on: ';
    if ((await terminal.question(question)).trim() === 'yes') return;
  } finally {
    terminal.close();
  }
  throw new ServiceError('Cancelled', 'nothing was removed');
}

function advise(
  left: readonly string[],
  { print, isDryRun }: { readonly print: (text: string) => void; readonly isDryRun: boolean },
): void {
  if (left.length > 0)
    print(printable(`left in tokens, --token-keys deletes them: ${left.join(', ')}`));
  if (isDryRun) return;
  print('power off now and copy the disk; to use this device again, boot it');
}
