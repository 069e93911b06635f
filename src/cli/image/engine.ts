import { ServiceError, systemCode } from '../../errors.ts';
import { moduleLabel, owner, ownerLabel } from '../../modules/docker/labels.ts';

/** A container that was made for a module. */
export interface ModuleContainer {
  readonly id: string;
  /** The name of the module. */
  readonly module: string;
  /** The engine's word: `running`, `exited` and so on. */
  readonly state: string;
}

const timeoutMs = 30_000;

/** The containers of modules, also those that are stopped; none where no engine is installed. */
export async function moduleContainers(socketPath: string): Promise<readonly ModuleContainer[]> {
  const path = `/containers/json?all=true&${labelled(`${ownerLabel}=${owner}`, moduleLabel)}`;
  const list = await listed(socketPath, path, 'say which modules run');
  return list === undefined ? [] : containersIn(list);
}

/** The names of the volumes that were created for modules; none where no engine is installed. */
export async function moduleVolumes(socketPath: string): Promise<readonly string[]> {
  const path = `/volumes?${labelled(moduleLabel)}`;
  const list = await listed(socketPath, path, 'list the volumes of modules');
  return list === undefined ? [] : volumesIn(list);
}

const labelled = (...label: readonly string[]): string =>
  `filters=${encodeURIComponent(JSON.stringify({ label }))}`;

/** A list of the engine; undefined where none is installed. `what` is for the error. */
async function listed(socketPath: string, path: string, what: string): Promise<string | undefined> {
  try {
    return await ask(socketPath, 'GET', path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    const problem = `the container engine at ${socketPath} does not ${what}`;
    throw new ServiceError('Unavailable', problem, { cause: error });
  }
}

/** Removes a container that does not run, with the volumes that have no name. */
export async function removeContainer(socketPath: string, { id }: ModuleContainer): Promise<void> {
  await ask(socketPath, 'DELETE', `/containers/${id}?v=true`);
}

/** The containers of the Module Runtime in the engine's list. */
export function containersIn(json: string): readonly ModuleContainer[] {
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list)) throw new TypeError('its list of containers is none');
  return list.filter(isOwn).map((one: unknown) => ({
    id: textIn(one, 'Id'),
    module: textIn(memberOf(one, 'Labels'), moduleLabel),
    state: textIn(one, 'State'),
  }));
}

/** The names of the volumes with the label of a module in the engine's list. */
export function volumesIn(json: string): readonly string[] {
  const list = memberOf(JSON.parse(json), 'Volumes');
  const volumes: readonly unknown[] = Array.isArray(list) ? list : []; // null when there is none
  return volumes
    .filter((volume) => textIn(memberOf(volume, 'Labels'), moduleLabel) !== '')
    .map((volume) => textIn(volume, 'Name'));
}

/** The label of the owner alone may be that of an image, which engines give to each of its containers. */
function isOwn(container: unknown): boolean {
  const labels = memberOf(container, 'Labels');
  return textIn(labels, ownerLabel) === owner && textIn(labels, moduleLabel) !== '';
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(name);
}

function textIn(value: unknown, name: string): string {
  const member = memberOf(value, name);
  return typeof member === 'string' ? member : '';
}

/** Whether the processes of a container exist. */
export function runs({ state }: ModuleContainer): boolean {
  return !['created', 'exited', 'dead'].includes(state);
}

async function ask(socketPath: string, method: string, path: string): Promise<string> {
  const { request } = await import('node:http'); // other verbs start without it
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const call = request({ socketPath, method, path, signal }, (response) => {
      const parts: string[] = [];
      response.setEncoding('utf8');
      response.on('data', (part: string) => void parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = parts.join('');
        if (response.statusCode !== undefined && response.statusCode < 300) resolve(text);
        else
          reject(new Error(`HTTP ${response.statusCode} from the engine: ${text.slice(0, 200)}`));
      });
    });
    call.on('error', reject);
    call.end();
  });
}
