import { join } from 'node:path';
import { type ModuleId, parseModuleId } from '../ids.ts';
import { fileNameOf, idOfFileName } from '../service/state/file-name.ts';
import {
  deleteStateFile,
  openStateDirectory,
  readStateJson,
  type UnusableFile,
  writeStateJson,
} from '../service/state/state-file.ts';
import { nameField, stringField } from './cloud/cloud.ts';

/** The result of provisioning, and the settings that it is valid for. */
export interface SavedDevice {
  readonly hubHostname: string;
  readonly deviceId: string;
  readonly source: string;
  /** The settings that it was asked for with. */
  readonly answerTo: string;
  /** The id that it was registered with, `` where an older version did not save it. */
  readonly registrationId: string;
  /** ISO 8601. */
  readonly provisionedAt: string;
}

/** A Retry-After of the cloud; it holds over a restart of the service. */
export interface SavedRefusal {
  readonly reason: string;
  readonly answerTo: string;
  /** ISO 8601. */
  readonly notBefore: string;
}

/**
 * A module identity. While `phase` is `asking` nothing has been asked of the hub that changes it; while it is `creating`
 * the hub may or may not have it, or it has not our keys; while it is `updating` the keys are good, and the rest of
 * what the hub has may be older or newer.
 */
export interface SavedModule {
  readonly moduleId: ModuleId;
  readonly managedBy: string;
  readonly generationId: string;
  readonly deviceId: string;
  readonly hubHostname: string;
  readonly phase: 'asking' | 'creating' | 'updating' | 'complete';
}

const extension = '.json';
const phases = ['asking', 'creating', 'updating', 'complete'] as const;

/** The persisted state of the service. Reading rejects with `DamagedFile`; nothing damaged is ever replaced silently. */
export class IdentityState {
  readonly #deviceFile: string;
  readonly #refusalFile: string;
  readonly #modules: string;
  #modulesFailure: UnusableFile | undefined;

  private constructor(directory: string) {
    this.#deviceFile = join(directory, 'device.json');
    this.#refusalFile = join(directory, 'refusal.json');
    this.#modules = join(directory, 'modules');
  }

  /** Makes the directories and removes what interrupted writes left. */
  static async open(directory: string): Promise<IdentityState> {
    const state = new IdentityState(directory);
    await openStateDirectory(directory); // an unusable file is reported when it is read
    state.#modulesFailure = (await openStateDirectory(state.#modules)).failure;
    return state;
  }

  device(): Promise<SavedDevice | undefined> {
    return readStateJson(this.#deviceFile, parseDevice);
  }

  /** Over one that cannot be read too: only a Reprovision comes here then. */
  saveDevice(device: SavedDevice): Promise<void> {
    return writeStateJson(this.#deviceFile, device, { evenUnreadable: true });
  }

  refusal(): Promise<SavedRefusal | undefined> {
    return readStateJson(this.#refusalFile, parseRefusal);
  }

  saveRefusal(refusal: SavedRefusal): Promise<void> {
    return writeStateJson(this.#refusalFile, refusal);
  }

  deleteRefusal(): Promise<void> {
    return deleteStateFile(this.#refusalFile, { evenUnreadable: true });
  }

  /** Why the directory of the modules cannot be used, undefined when it can: what is in it is unknown. */
  get modulesFailure(): UnusableFile | undefined {
    return this.#modulesFailure;
  }

  /** The ids of all modules that have a file, damaged or not. */
  async moduleIds(): Promise<readonly ModuleId[]> {
    const { names, failure } = await openStateDirectory(this.#modules);
    this.#modulesFailure = failure;
    const ids = names.map((name) => idOfFileName(name, extension));
    return ids.filter((id) => id !== undefined).map(parseModuleId);
  }

  module(id: ModuleId): Promise<SavedModule | undefined> {
    return readStateJson(this.#fileOf(id), (value) => parseModule(value, id));
  }

  saveModule(module: SavedModule): Promise<void> {
    return writeStateJson(this.#fileOf(module.moduleId), module);
  }

  deleteModule(id: ModuleId): Promise<void> {
    return deleteStateFile(this.#fileOf(id), { evenUnreadable: true });
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

/** What goes to the cloud and to the bus as a name. */
function requiredName(value: unknown, name: string): string {
  const field = nameField(value, name);
  if (field === undefined) throw new TypeError(`its ${name} is missing or no name`);
  return field;
}

function requiredTime(value: unknown, name: string): string {
  const field = required(value, name);
  if (Number.isNaN(Date.parse(field))) throw new TypeError(`its ${name} is no time`);
  return field;
}

function parseDevice(value: unknown): SavedDevice {
  return {
    hubHostname: requiredName(value, 'hubHostname'),
    deviceId: requiredName(value, 'deviceId'),
    source: required(value, 'source'),
    answerTo: required(value, 'answerTo'),
    registrationId: stringField(value, 'registrationId') ?? '',
    provisionedAt: requiredTime(value, 'provisionedAt'),
  };
}

function parseRefusal(value: unknown): SavedRefusal {
  return {
    reason: required(value, 'reason'),
    answerTo: required(value, 'answerTo'),
    notBefore: requiredTime(value, 'notBefore'),
  };
}

function parseModule(value: unknown, moduleId: ModuleId): SavedModule {
  const phase = phases.find((one) => one === required(value, 'phase'));
  if (phase === undefined) throw new TypeError('its phase is unknown');
  if (required(value, 'moduleId') !== moduleId) throw new TypeError('it is about another module');
  return {
    moduleId,
    managedBy: required(value, 'managedBy'),
    generationId: required(value, 'generationId'),
    deviceId: requiredName(value, 'deviceId'),
    hubHostname: requiredName(value, 'hubHostname'),
    phase,
  };
}
