import { join } from 'node:path';
import { type ModuleId, parseModuleId } from '../ids.ts';
import { jsonRecords, RecordDirectory } from '../service/state/record-directory.ts';
import {
  deleteStateFile,
  openStateDirectory,
  readStateJson,
  writeStateJson,
} from '../service/state/state-file.ts';
import { nameField, stringField } from './cloud/cloud.ts';

/** The result of provisioning, and the settings that it is valid for. */
export interface SavedDevice {
  readonly hubHostname: string;
  readonly deviceId: string;
  readonly source: string;
  /** The settings of the request. */
  readonly answerTo: string;
  /** The registration id, `` where an older version did not save it. */
  readonly registrationId: string;
  /** ISO 8601. */
  readonly provisionedAt: string;
  /** When the certificate that the provisioning service issued is to be renewed, ISO 8601; undefined without one. */
  readonly renewAt?: string;
}

/** A Retry-After of the cloud, which stays in force across a restart of the service. */
export interface SavedRefusal {
  readonly reason: string;
  readonly answerTo: string;
  /** ISO 8601. */
  readonly notBefore: string;
}

/**
 * A module identity. While `phase` is `asking` no request has changed the hub; while it is `creating` the hub may or
 * may not have the module, or it does not have our keys; while it is `updating` the keys are valid, and the other
 * fields on the hub may be older or newer.
 */
export interface SavedModule {
  readonly moduleId: ModuleId;
  readonly managedBy: string;
  readonly generationId: string;
  readonly deviceId: string;
  readonly hubHostname: string;
  readonly phase: 'asking' | 'creating' | 'updating' | 'complete';
}

const phases = ['asking', 'creating', 'updating', 'complete'] as const;

const moduleForm = jsonRecords<ModuleId, SavedModule>({
  parseId: parseModuleId,
  parse: parseModule,
  format: (module) => module,
  mayLackVersion: true,
});

/** The persisted state of the service. Reads reject with `DamagedFile`; a damaged file is never replaced silently. */
export class IdentityState {
  readonly #deviceFile: string;
  readonly #refusalFile: string;
  readonly modules: RecordDirectory<ModuleId, SavedModule>;

  private constructor(directory: string, modules: RecordDirectory<ModuleId, SavedModule>) {
    this.#deviceFile = join(directory, 'device.json');
    this.#refusalFile = join(directory, 'refusal.json');
    this.modules = modules;
  }

  /** Creates the directories, removes the leftovers of interrupted writes, and reads the modules. */
  static async open(directory: string): Promise<IdentityState> {
    await openStateDirectory(directory); // an unusable file is reported when it is read
    const modules = await RecordDirectory.open(join(directory, 'modules'), moduleForm);
    return new IdentityState(directory, modules);
  }

  device(): Promise<SavedDevice | undefined> {
    return readStateJson(this.#deviceFile, parseDevice);
  }

  /** Replaces also an unreadable file, since only a Reprovision leads here then. */
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
}

function required(value: unknown, name: string): string {
  const field = stringField(value, name);
  if (field === undefined) throw new TypeError(`it has no ${name}`);
  return field;
}

/** A field that is sent to the cloud and on the bus as a name. */
function requiredName(value: unknown, name: string): string {
  const field = nameField(value, name);
  if (field === undefined) throw new TypeError(`its ${name} is missing or no name`);
  return field;
}

function requiredTime(value: unknown, name: string): string {
  const field = required(value, name);
  if (Number.isNaN(Date.parse(field))) throw new TypeError(`its ${name} is not a time`);
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
    ...(stringField(value, 'renewAt') !== undefined && {
      renewAt: requiredTime(value, 'renewAt'),
    }),
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
