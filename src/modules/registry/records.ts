import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ServiceError } from '../../errors.ts';
import { type ModuleName, parseModuleName } from '../../ids.ts';
import { jsonRecords, RecordDirectory } from '../../service/state/record-directory.ts';
import { StateDisk } from '../../service/state/state-disk.ts';
import {
  DamagedFile,
  readStateFile,
  removeLeftovers,
  writeStateFile,
} from '../../service/state/state-file.ts';
import {
  type ModuleSettings,
  objectAt,
  parseSettings,
  settingsJson,
} from '../docker/create-options/create-options.ts';
import {
  type Goal,
  type ModuleVerb,
  moduleVerbs,
  type SavedOperation,
  type SavedState,
} from '../supervisor/desired-state.ts';
import {
  baseOf,
  envOf,
  formerOf,
  goalOf,
  rejectionOf,
  updateJson,
  updateOf,
} from './update-record.ts';

/**
 * A module as it was requested. The agent's configuration is in modules.yaml, so its record has none, unless the agent has
 * replaced that one: then `base` is its digest.
 */
export interface ModuleRecord {
  readonly name: ModuleName;
  readonly state: SavedState;
  readonly settings: ModuleSettings | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Whether the module was authorized as an elevated one. */
  readonly elevated: boolean;
  readonly base?: string | undefined;
}

const digestKeyBytes = 32;
/** For the records of modules that are stopped or deleted while the disk is full: most are small. */
const reservedBytes = [16, 16, 16, 16, 256].map((kib) => kib << 10);
const freeingVerbs: ReadonlySet<ModuleVerb> = new Set(['Stop', 'DeleteModule']);
const freeingGoals: ReadonlySet<Goal> = new Set(['stopped', 'ended', 'absent']);

const form = jsonRecords<ModuleName, ModuleRecord>({
  parseId: parseModuleName,
  parse: parseRecord,
  format: ({ name, state, settings, env, elevated, base }) => ({
    name,
    ...state,
    update: state.update && updateJson(state.update),
    settings: settings && settingsJson(settings),
    env,
    elevated,
    base,
  }),
});

/** The persisted state of modules: one file each, replaced as a whole. */
export class Records {
  /** The records of all modules. */
  readonly modules: RecordDirectory<ModuleName, ModuleRecord>;
  /** The disk that the records are on; its caller disposes of it. */
  readonly disk: StateDisk;
  readonly #digestKeyPath: string;

  private constructor(
    stateDirectory: string,
    modules: RecordDirectory<ModuleName, ModuleRecord>,
    disk: StateDisk,
  ) {
    this.modules = modules;
    this.disk = disk;
    this.#digestKeyPath = join(stateDirectory, 'digest.key');
  }

  /** The records below a state directory. */
  static async open(stateDirectory: string): Promise<Records> {
    const directory = join(stateDirectory, 'modules');
    const modules = await RecordDirectory.open(directory, form);
    const disk = await StateDisk.open(directory, { reserve: reservedBytes });
    await removeLeftovers(stateDirectory).catch(() => undefined); // a damaged directory is reported by the first read
    return new Records(stateDirectory, modules, disk);
  }

  /** The key of the published digests, created at the first use; DamagedFile when the file is not a key. */
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

  /** Persists a record. A change that frees space may use the reserve of a full disk; a creation may not. */
  async write(record: ModuleRecord): Promise<void> {
    const isLess = frees(record.state) && this.modules.get(record.name) !== undefined;
    await this.modules.put(record.name, record, { reserve: isLess ? this.disk : undefined });
  }

  /** Throws Unavailable when the record of that name is unreadable: it is not overwritten. */
  refuseDamaged(name: ModuleName): void {
    const damage = this.modules.damaged.get(name);
    if (damage === undefined) return;
    throw new ServiceError('Unavailable', damage.message, { cause: damage });
  }

  /** Whether there is a record of that name, damaged or not. */
  has(name: ModuleName): boolean {
    return this.modules.ids().includes(name);
  }

  delete(name: ModuleName): Promise<void> {
    return this.modules.delete(name);
  }
}

function frees({ goal, operation }: SavedState): boolean {
  return operation === undefined ? freeingGoals.has(goal) : freeingVerbs.has(operation.verb);
}

function parseRecord(value: unknown, name: ModuleName): ModuleRecord {
  const record = objectAt(value, 'a module');
  const { settings, failure } = { ...record };
  const goal = goalOf(record['goal']);
  if (record['name'] !== name || goal === undefined) {
    throw new TypeError('it is not the record of this module');
  }
  return {
    name,
    state: {
      goal,
      operation: operationOf(record['operation']),
      failure: typeof failure === 'string' ? failure : undefined,
      ...updateOf(record['update'], name),
      ...formerOf(record['former']),
      ...rejectionOf(record['rejected']),
      ...(record['resumes'] === true && { resumes: true }),
    },
    settings: settings === undefined ? undefined : parseSettings(settings),
    env: envOf(record['env']),
    // missing in records that are older than the field
    elevated: record['elevated'] === true,
    ...baseOf(record['base']),
  };
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
