/** The documents of the management API as edgeAgent reads them: every mandatory member, its type and its form. */
import { WireError } from './agent-http.ts';

/** A module in the list of the runtime. */
export interface ListedModule {
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly status: string;
  readonly startTime: Date | undefined;
  readonly exit: { readonly time: Date; readonly code: number } | undefined;
}

/** An identity of a module at the hub. */
export interface ListedIdentity {
  readonly moduleId: string;
  readonly managedBy: string;
  readonly generationId: string;
}

const statuses = new Set(['unknown', 'running', 'stopped', 'failed', 'dead', 'backoff']);
const utc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;

/** The list of modules. */
export function readModules(value: unknown): readonly ListedModule[] {
  return arrayOf(objectOf(value, 'modules'), 'modules').map(readModule);
}

/** One module. */
export function readModule(value: unknown): ListedModule {
  const module = objectOf(value, 'a module');
  const name = textOf(module, 'name');
  textOf(module, 'id');
  if (textOf(module, 'type') !== 'docker') throw new WireError(`${name} has another type`);
  const config = objectOf(module['config'], `config of ${name}`);
  const settings = objectOf(config['settings'], `settings of ${name}`);
  if (config['env'] !== undefined) arrayOf(config, 'env').forEach((pair) => readPair(pair));
  const status = objectOf(module['status'], `status of ${name}`);
  const runtime = objectOf(status['runtimeStatus'], `runtimeStatus of ${name}`);
  const text = textOf(runtime, 'status').toLowerCase();
  if (!statuses.has(text)) throw new WireError(`status "${text}" of ${name}`);
  const exit = status['exitStatus'];
  return {
    name,
    image: textOf(settings, 'image'),
    labels: labelsOf(settings, name),
    status: text,
    startTime: status['startTime'] === undefined ? undefined : timeOf(status, 'startTime'),
    exit: exit === undefined || exit === null ? undefined : readExit(exit, name),
  };
}

function readExit(value: unknown, name: string): NonNullable<ListedModule['exit']> {
  const exit = objectOf(value, `exitStatus of ${name}`);
  const code = textOf(exit, 'statusCode');
  if (!/^-?\d+$/.test(code)) throw new WireError(`statusCode "${code}" of ${name}`);
  return { time: timeOf(exit, 'exitTime'), code: Number(code) };
}

/** The create options may be an object, or its JSON. */
function labelsOf(settings: Readonly<Record<string, unknown>>, name: string) {
  const given = settings['createOptions'];
  const options: unknown = typeof given === 'string' ? JSON.parse(given) : (given ?? {});
  const { Labels: labels = {} } = objectOf(options, `createOptions of ${name}`);
  return objectOf(labels, `labels of ${name}`);
}

function readPair(value: unknown): void {
  const pair = objectOf(value, 'a variable');
  textOf(pair, 'key');
  textOf(pair, 'value');
}

/** The list of identities. */
export function readIdentities(value: unknown): readonly ListedIdentity[] {
  return arrayOf(objectOf(value, 'identities'), 'identities').map(readIdentity);
}

/** One identity. */
export function readIdentity(value: unknown): ListedIdentity {
  const identity = objectOf(value, 'an identity');
  if (textOf(identity, 'authType') !== 'sas') throw new WireError('another authType');
  return {
    moduleId: textOf(identity, 'moduleId'),
    managedBy: textOf(identity, 'managedBy', { mayBeEmpty: true }),
    generationId: textOf(identity, 'generationId'),
  };
}

/** The description of the machine: these members, and others of any kind. */
export function readSystemInfo(value: unknown): void {
  const info = objectOf(value, 'systeminfo');
  for (const name of ['osType', 'architecture']) textOf(info, name);
  const optional = ['version', 'server_version', 'kernel_version', 'operating_system'];
  for (const name of [...optional, 'virtualized']) {
    if (info[name] !== undefined) textOf(info, name, { mayBeEmpty: true });
  }
  for (const name of ['cpus', 'total_memory']) {
    if (info[name] !== undefined) integerOf(info, name);
  }
  const provisioning = objectOf(info['provisioning'], 'provisioning');
  textOf(provisioning, 'type');
  if (typeof provisioning['dynamicReprovisioning'] !== 'boolean') {
    throw new WireError('no dynamicReprovisioning');
  }
}

/** The resources of the machine and its modules; returns the statistics of the engine. */
export function readResources(value: unknown): readonly unknown[] {
  const resources = objectOf(value, 'resources');
  for (const name of ['host_uptime', 'process_uptime', 'used_ram', 'total_ram']) {
    integerOf(resources, name);
  }
  if (typeof resources['used_cpu'] !== 'number') throw new WireError('no used_cpu');
  for (const disk of arrayOf(resources, 'disks')) {
    const entry = objectOf(disk, 'a disk');
    for (const name of ['name', 'file_system', 'file_type']) textOf(entry, name);
    for (const name of ['available_space', 'total_space']) integerOf(entry, name);
  }
  const stats: unknown = JSON.parse(textOf(resources, 'docker_stats'));
  if (!Array.isArray(stats)) throw new WireError('docker_stats is no array');
  return stats;
}

/** The one member of the answers of the workload API. */
export function readMember(value: unknown, name: string, mayBeEmpty = false): string {
  return textOf(objectOf(value, 'the response'), name, { mayBeEmpty });
}

export function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.fromEntries(Object.entries(value));
  }
  throw new WireError(`${what}: no object but ${JSON.stringify(value)}`);
}

function arrayOf(value: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
  const member = value[name];
  if (Array.isArray(member)) return member;
  throw new WireError(`${name}: no array but ${JSON.stringify(member)}`);
}

function textOf(
  value: Readonly<Record<string, unknown>>,
  name: string,
  { mayBeEmpty = false } = {},
): string {
  const member = value[name];
  if (typeof member === 'string' && (mayBeEmpty || member !== '')) return member;
  throw new WireError(`${name}: no text but ${JSON.stringify(member)}`);
}

function integerOf(value: Readonly<Record<string, unknown>>, name: string): number {
  const member = value[name];
  if (typeof member === 'number' && Number.isSafeInteger(member)) return member;
  throw new WireError(`${name}: no integer but ${JSON.stringify(member)}`);
}

/** A time of RFC 3339 in UTC, which the client takes for local time otherwise. */
export function timeOf(value: Readonly<Record<string, unknown>>, name: string): Date {
  const text = textOf(value, name);
  if (!utc.test(text)) throw new WireError(`${name}: "${text}" does not end in Z`);
  return new Date(text);
}
