import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModuleId, parseModuleId } from '../ids.ts';
import {
  deleteStateFile,
  fileNameOf,
  idOfFileName,
  makeStateDirectory,
  readStateJson,
  removeLeftovers,
  writeStateFile,
} from '../service/state-file.ts';
import { stringField } from './cloud.ts';

/** The outcome of provisioning, and what it was an answer to. */
export interface SavedDevice {
  readonly hubHostname: string;
  readonly deviceId: string;
  readonly source: string;
  readonly scopeId: string;
  /** ISO 8601. */
  readonly provisionedAt: string;
}

/** A module identity. While `phase` is `creating` the hub may or may not have it. */
export interface SavedModule {
  readonly moduleId: ModuleId;
  readonly managedBy: string;
  readonly generationId: string;
  readonly deviceId: string;
  readonly hubHostname: string;
  readonly phase: 'creating' | 'complete';
}

const extension = '.json';

/** What the service remembers. Reading rejects with `DamagedFile`; nothing damaged is ever replaced silently. */
export class IdentityState {
  readonly #deviceFile: string;
  readonly #modules: string;

  private constructor(directory: string) {
    this.#deviceFile = join(directory, 'device.json');
    this.#modules = join(directory, 'modules');
  }

  /** Makes the directories and removes what interrupted writes left. */
  static async open(directory: string): Promise<IdentityState> {
    const state = new IdentityState(directory);
    await makeStateDirectory(directory);
    await makeStateDirectory(state.#modules);
    await removeLeftovers(directory);
    await removeLeftovers(state.#modules);
    return state;
  }

  device(): Promise<SavedDevice | undefined> {
    return readStateJson(this.#deviceFile, parseDevice);
  }

  saveDevice(device: SavedDevice): Promise<void> {
    return writeStateFile(this.#deviceFile, JSON.stringify(device));
  }

  /** The ids of all modules that have a file, damaged or not. */
  async moduleIds(): Promise<readonly ModuleId[]> {
    const ids = (await readdir(this.#modules)).map((name) => idOfFileName(name, extension));
    return ids.filter((id) => id !== undefined).map(parseModuleId);
  }

  module(id: ModuleId): Promise<SavedModule | undefined> {
    return readStateJson(this.#fileOf(id), parseModule);
  }

  saveModule(module: SavedModule): Promise<void> {
    return writeStateFile(this.#fileOf(module.moduleId), JSON.stringify(module));
  }

  deleteModule(id: ModuleId): Promise<void> {
    return deleteStateFile(this.#fileOf(id));
  }

  #fileOf(id: ModuleId): string {
    return join(this.#modules, fileNameOf(id, extension));
  }
}

function required(value: unknown, name: string): string {
  const field = stringField(value, name);
  if (field === undefined) throw new TypeError(`it has no ${name}`);
  return field;
}

function parseDevice(value: unknown): SavedDevice {
  return {
    hubHostname: required(value, 'hubHostname'),
    deviceId: required(value, 'deviceId'),
    source: required(value, 'source'),
    scopeId: required(value, 'scopeId'),
    provisionedAt: required(value, 'provisionedAt'),
  };
}

function parseModule(value: unknown): SavedModule {
  const phase = required(value, 'phase');
  if (phase !== 'creating' && phase !== 'complete')
    throw new TypeError(`phase ${phase} is unknown`);
  return {
    moduleId: parseModuleId(required(value, 'moduleId')),
    managedBy: required(value, 'managedBy'),
    generationId: required(value, 'generationId'),
    deviceId: required(value, 'deviceId'),
    hubHostname: required(value, 'hubHostname'),
    phase,
  };
}
