import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ServiceError } from '../errors.ts';
import { type ModuleName, parseModuleName } from '../ids.ts';
import { fileNameOf, idOfFileName } from '../service/state/file-name.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import {
  DamagedFile,
  deleteStateFile,
  formatStateJson,
  openStateDirectory,
  readStateFile,
  readStateJson,
  removeLeftovers,
  writeStateFile,
} from '../service/state/state-file.ts';
import {
  type ModuleSettings,
  objectAt,
  parseSettings,
  settingsJson,
} from './docker/create-options/create-options.ts';
import {
  type ModuleVerb,
  moduleVerbs,
  type SavedOperation,
  type SavedState,
} from './supervisor/desired-state.ts';
import { type Goal, goals } from './supervisor/goal.ts';

/** A module as it was asked for. The agent's configuration is in modules.yaml, so its record has none. */
export interface ModuleRecord {
  readonly name: ModuleName;
  readonly state: SavedState;
  readonly settings: ModuleSettings | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Whether authorization was told that the module is elevated. */
  readonly elevated: boolean;
}

const digestKeyBytes = 32;
/** For the records of modules that are stopped or deleted while the disk is full: most are small. */
const reservedBytes = [16, 16, 16, 16, 256].map((kib) => kib << 10);
const freeingVerbs: ReadonlySet<ModuleVerb> = new Set(['Stop', 'DeleteModule']);
const freeingGoals: ReadonlySet<Goal> = new Set(['stopped', 'ended', 'absent']);

/** What of modules outlives the process: one file each, replaced as a whole. */
export class Records {
  readonly #directory: string;
  readonly #digestKeyPath: string;
  /** What could not be read when all of it was: no module of that name is made over it. */
  readonly #damaged = new Map<string, DamagedFile>();
  readonly #known = new Set<string>();

  /** The disk that the records are on; its caller disposes of it. */
  readonly disk: StateDisk;

  private constructor(stateDirectory: string, directory: string, disk: StateDisk) {
    this.disk = disk;
    this.#directory = directory;
    this.#digestKeyPath = join(stateDirectory, 'digest.key');
  }

  /** The records below a state directory. */
  static async open(stateDirectory: string): Promise<Records> {
    const directory = join(stateDirectory, 'modules');
    await openStateDirectory(directory); // what cannot be used is told when it is read
    const disk = await StateDisk.open(directory, { reserve: reservedBytes });
    const records = new Records(stateDirectory, directory, disk);
    await removeLeftovers(stateDirectory).catch(() => undefined); // what cannot be used is told when it is read
    return records;
  }

  /** Everything that can be read, and the files that cannot: those are left alone. */
  async readAll(): Promise<{
    readonly records: readonly ModuleRecord[];
    readonly damaged: readonly DamagedFile[];
    /** Of all of them. */
    readonly names: ReadonlySet<string>;
    /** Whether these are all: not when the directory cannot be used. */
    readonly isComplete: boolean;
  }> {
    const records: ModuleRecord[] = [];
    const damaged: DamagedFile[] = [];
    const names = new Set<string>();
    const { names: files, failure } = await openStateDirectory(this.#directory);
    if (failure !== undefined) damaged.push(failure);
    for (const file of files) {
      const name = idOfFileName(file, '.json');
      if (name === undefined) continue;
      names.add(name);
      try {
        const record = await readStateJson(join(this.#directory, file), (value) =>
          parseRecord(name, value),
        );
        if (record === undefined) continue;
        records.push(record);
        this.#known.add(name);
      } catch (error) {
        if (!(error instanceof DamagedFile)) throw error;
        damaged.push(error);
        this.#damaged.set(name, error);
      }
    }
    return { records, damaged, names, isComplete: failure === undefined };
  }

  /** The key of the digests that everybody may see, made when there is none; DamagedFile when it is not one. */
  async digestKey(): Promise<Buffer> {
    const path = this.#digestKeyPath;
    const known = await readStateFile(path);
    if (known === undefined) {
      const made = randomBytes(digestKeyBytes);
      await writeStateFile(path, made);
      return made;
    }
    if (known.length !== digestKeyBytes) {
      throw new DamagedFile(path, `it does not hold ${digestKeyBytes} bytes`);
    }
    return known;
  }

  async write({ name, state, settings, env, elevated }: ModuleRecord): Promise<void> {
    const written = settings && settingsJson(settings);
    const content = formatStateJson({ name, ...state, settings: written, env, elevated });
    // what ends in less being there must not fail because too much is; a module that is made is more
    const isLess = frees(state) && this.#known.has(name);
    if (isLess) await this.disk.write(this.#pathOf(name), content);
    else await writeStateFile(this.#pathOf(name), content);
    this.#known.add(name);
  }

  /** Unavailable when there is a record of that name that could not be read: nothing replaces it. */
  refuseDamaged(name: ModuleName): void {
    const damage = this.#damaged.get(name);
    if (damage === undefined) return;
    throw new ServiceError('Unavailable', damage.message, { cause: damage });
  }

  async delete(name: ModuleName): Promise<void> {
    await deleteStateFile(this.#pathOf(name));
    this.#known.delete(name);
  }

  #pathOf(name: ModuleName): string {
    return join(this.#directory, fileNameOf(name, '.json'));
  }
}

function frees({ goal, operation }: SavedState): boolean {
  return operation === undefined ? freeingGoals.has(goal) : freeingVerbs.has(operation.verb);
}

function parseRecord(fileName: string, value: unknown): ModuleRecord {
  const record = objectAt(value, 'a module');
  const { version, name, settings, failure } = { ...record };
  const goal = goalOf(record['goal']);
  if (version !== 1 || name !== fileName || goal === undefined) {
    throw new TypeError('it is not the record of this module');
  }
  const env = Object.entries(objectAt(record['env'], 'env'));
  return {
    name: parseModuleName(fileName),
    state: {
      goal,
      operation: operationOf(record['operation']),
      failure: typeof failure === 'string' ? failure : undefined,
    },
    settings: settings === undefined ? undefined : parseSettings(settings),
    env: Object.fromEntries(env.map(([key, text]) => [key, String(text)])),
    // One that does not say was written before anybody asked.
    elevated: record['elevated'] === true,
  };
}

function goalOf(value: unknown): Goal | undefined {
  return goals.find((known) => known === value);
}

function operationOf(value: unknown): SavedOperation | undefined {
  if (value === undefined) return undefined;
  const operation = objectAt(value, 'operation');
  const verb = moduleVerbs.find((known) => known === operation['verb']);
  const previous = goalOf(operation['previous']);
  const stopTimeoutS = operation['stopTimeoutS'];
  if (verb === undefined || previous === undefined) throw new TypeError('its operation is none');
  return { verb, previous, ...(typeof stopTimeoutS === 'number' && { stopTimeoutS }) };
}
