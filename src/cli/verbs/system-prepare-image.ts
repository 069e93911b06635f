import { describeError, ServiceError } from '../../errors.ts';
import { keysService } from '../../interfaces/keys.ts';
import { serviceOwners } from '../apply/mend-files.ts';
import { dryRunOption, Steps } from '../apply/steps.ts';
import { type Command, exitCodes } from '../command.ts';
import { configDirectory, requireRoot } from '../config-directory.ts';
import { statesOf } from '../configuration/configurations.ts';
import { confirm, yesOption } from '../confirm.ts';
import { credentialFiles, loadedCredentials, removeCredential } from '../image/credentials.ts';
import { countFiles, emptyDirectory } from '../image/empty-directory.ts';
import {
  type ModuleContainer,
  moduleContainers,
  moduleVolumes,
  removeContainer,
} from '../image/engine.ts';
import { adviceOn, inJson, type Left } from '../image/left.ts';
import { refusalOf, unitsToStop } from '../image/plan.ts';
import { countPublished, removePublished } from '../image/published.ts';
import { deleteKey, tokenKeys } from '../image/token-keys.ts';
import { formatJson, printable } from '../output.ts';
import { Systemd } from '../systemd/manager.ts';
import { services, serviceUnit } from '../systemd/units.ts';

/** `iotedgectl system prepare-image`. */
export const systemPrepareImage: Command = {
  words: 'system prepare-image',
  summary: 'remove what tells this device from another, before its disk is copied',
  about: `Every copy of a disk would otherwise be the same device: it would have its keys, and sign in to the cloud as it.
This command removes, for good:

  - the state of all four services: keys in files, certificates, the identity, the modules that were created;
  - the certificates that are published for other programs (publish_dir);
  - the containers of modules, with what they stored in themselves (images and volumes with names stay);
  - keys in tokens, but only those that --token-keys names: a copy of the disk does not have the token;
  - with --credentials, the files of the credentials that the units load: PINs of tokens.

It lists what it leaves: keys in tokens, volumes of modules, and credentials, since a PIN may be nowhere else. It keeps
/etc/iotedge: look for a hostname, a registration_id or a PIN there. /etc/machine-id belongs to the system, see
machine-id(5). It stops no module, and refuses while one runs.

The services are stopped and cannot start before the next boot: power off, copy the disk. A device that boots with it
begins anew.`,
  options: {
    ...dryRunOption,
    ...yesOption,
    'token-keys': {
      type: 'string',
      value: 'ID,ID',
      help: 'delete these keys from their tokens, too',
    },
    credentials: { type: 'boolean', help: 'remove the files of credentials (PINs), too' },
  },
  async run(context) {
    requireRoot('system prepare-image');
    const { options, print } = context;
    const places = await placesOf();
    const bus = await context.bus();
    const systemd = await Systemd.require(bus);
    const given = options['token-keys'];
    const named = typeof given === 'string' ? given.split(',').filter((id) => id !== '') : [];
    const keys = { named, inToken: await tokenKeys(bus, named) };
    await requireStopped(places, keys);
    const credentials = await credentialsOf(systemd, places); // a masked unit shows none
    const volumes = await moduleVolumes(places.engineSocket);
    for (const { path, uid } of places.states) countFiles(path, uid); // it fails for what is no state
    countPublished(places.published.path, places.published.uid); // likewise
    const steps = new Steps(context);
    if (!steps.isDryRun) await confirm(context, question);
    const containers = await kept('nothing is removed', async () => {
      await stop(callers, { systemd, steps });
      return requireStopped(places, keys); // one may have been started meanwhile
    });
    await kept('the state is not removed', async () => {
      for (const id of named)
        await steps.take(`key "${id}": deleted from its token`, () => deleteKey(bus, id));
      await stop([keysUnit], { systemd, steps });
    });
    const isTaken = options['credentials'] === true;
    const removed = { containers, credentials: isTaken ? credentials : [] };
    const problems = await remove(places, { ...removed, steps });
    const left = {
      tokens: keys.inToken.filter((id) => !named.includes(id)),
      credentials: isTaken ? [] : credentials,
      volumes,
    };
    if (options['json'] === true)
      print(formatJson({ steps: steps.all, ...inJson(left), problems }));
    else advise({ left, problems }, { print, isDryRun: steps.isDryRun });
    return problems.length === 0 ? exitCodes.ok : exitCodes.failed;
  },
};

const question = 'This removes the keys and the identity of this device and its modules, for good.';
const units = unitsToStop(services);
const keysUnit = serviceUnit(keysService);
const callers = units.filter((unit) => unit !== keysUnit);

interface Places {
  readonly states: readonly State[];
  /** The directory of published certificates. */
  readonly published: State;
  readonly engineSocket: string;
}

interface State {
  readonly service: string;
  readonly path: string;
  /** Of the service's user; undefined when there is none. */
  readonly uid: number | undefined;
}

/** Where the configuration says that things are. */
async function placesOf(): Promise<Places> {
  const check = await import('../configuration/check.ts');
  const found = await check.checkConfigurations(configDirectory({ options: {} }));
  const { certificates, modules } = found.placed;
  if (check.exitCodeOf(found) !== exitCodes.ok || !certificates || !modules) {
    const problem =
      "the configuration says where the state lies, and is wrong: 'iotedgectl config check'";
    throw new ServiceError('Failed', problem);
  }
  const owners = await serviceOwners();
  const states = [...statesOf(found.placed)].map(([service, path]) => {
    return { service, path, uid: owners.get(service)?.uid };
  });
  const service = 'certificates';
  const path = certificates.config.publish_dir;
  const published = { service, path, uid: owners.get(service)?.uid };
  return { states, published, engineSocket: modules.config.engineSocket };
}

/** The files of credentials outside of the states. */
async function credentialsOf(systemd: Systemd, { states }: Places): Promise<readonly string[]> {
  const loaded: string[] = [];
  for (const unit of callers.concat(keysUnit)) {
    loaded.push(...loadedCredentials(await systemd.unit(unit)));
  }
  return credentialFiles(loaded).filter(
    (file) => !states.some(({ path }) => file.startsWith(`${path}/`)),
  );
}

/** The containers of modules, none of which runs; Unavailable when something stands against the removal. */
async function requireStopped(
  { engineSocket }: Places,
  keys: Parameters<typeof refusalOf>[1],
): Promise<readonly ModuleContainer[]> {
  const containers = await moduleContainers(engineSocket);
  const refusal = refusalOf(containers, keys);
  if (refusal !== undefined) throw new ServiceError('Unavailable', refusal);
  return containers;
}

/** Adds to a failure what was kept, and how the services are started again. */
async function kept<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const undo = `boot it, or 'systemctl --runtime unmask ${units.join(' ')}' and start them`;
    const problem = `${describeError(error)}; ${what}; to use this device again, ${undo}`;
    throw new ServiceError('Unavailable', problem);
  }
}

interface Removed {
  readonly containers: readonly ModuleContainer[];
  readonly credentials: readonly string[];
}

/** How the files of a service are removed. */
interface Removal {
  readonly count: typeof countFiles;
  readonly remove: typeof emptyDirectory;
}

/** Removes containers, states, published certificates and credentials, each whatever becomes of the others; returns what failed. */
async function remove(
  { states, published, engineSocket }: Places,
  { containers, credentials, steps }: Removed & { readonly steps: Steps },
): Promise<readonly string[]> {
  const problems: string[] = [];
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    await act().catch((error: unknown) => problems.push(describeError(error)));
  };
  for (const container of containers) {
    const text = `module "${container.module}": container removed`;
    await attempt(() => steps.take(text, () => removeContainer(engineSocket, container)));
  }
  const clear = async ({ service, path, uid }: State, files: Removal): Promise<void> =>
    attempt(async () => {
      const found = files.count(path, uid);
      if (found === 0) return;
      const text = `${service}: ${found} files removed from ${path}`;
      await steps.take(text, () => files.remove(path, uid));
    });
  for (const state of states) await clear(state, { count: countFiles, remove: emptyDirectory });
  await clear(published, { count: countPublished, remove: removePublished });
  for (const path of credentials) {
    await attempt(() => steps.take(`credential ${path} removed`, () => removeCredential(path)));
  }
  return problems;
}

/** Stops units so that no call, timer or connection starts one again. */
async function stop(
  wanted: readonly string[],
  { systemd, steps }: { readonly systemd: Systemd; readonly steps: Steps },
): Promise<void> {
  await steps.take(`${wanted.join(', ')}: cannot start before the next boot`, () =>
    systemd.maskUntilBoot(wanted),
  );
  for (const unit of wanted) {
    const state = (await systemd.unit(unit)).get('ActiveState');
    if (state === 'inactive' || state === 'failed') continue;
    await steps.take(`${unit}: stopped`, async () => {
      const result = await systemd.job('StopUnit', unit);
      if (result === 'done') return;
      throw new ServiceError('Unavailable', `${unit} was not stopped (${result})`);
    });
  }
}

function advise(
  { left, problems }: { readonly left: Left; readonly problems: readonly string[] },
  { print, isDryRun }: { readonly print: (text: string) => void; readonly isDryRun: boolean },
): void {
  for (const problem of problems) print(printable(problem));
  if (problems.length > 0) print('do not copy the disk yet: mend that, and run this again');
  for (const line of adviceOn(left)) print(printable(line));
  if (isDryRun || problems.length > 0) return;
  print('power off now and copy the disk; to use this device again, boot it');
}
