import { ServiceError } from '../../../src/errors.ts';
import type { ModuleName } from '../../../src/ids.ts';
import type { LogsManagement } from '../../../src/modules/api/management/log-routes.ts';
import type { RunnableSpec } from '../../../src/modules/api/management/module-spec.ts';
import type {
  ModuleAction,
  ModulesManagement,
} from '../../../src/modules/api/management/modules-routes.ts';
import type { ModuleSummary } from '../../../src/modules/api/module-list.ts';
import type { ModuleSource } from '../../../src/modules/module-source.ts';
import type {
  LogEntry,
  LogRequest,
  ModuleLog,
} from '../../../src/modules/supervisor/module-type.ts';

const summaries: readonly ModuleSummary[] = [
  {
    name: 'edgeAgent',
    type: 'docker',
    image: 'agent:1',
    labels: {},
    status: { runtimeStatus: 'stopped', startTime: undefined, exit: undefined },
  },
  {
    name: 'hub',
    type: 'docker',
    image: 'hub:1',
    imageId: 'sha256:1',
    labels: { 'net.azure-devices.edge.env': '{"A":1}', mine: 'x' },
    status: {
      runtimeStatus: 'running',
      startTime: new Date('2026-02-01T00:00:00Z'),
      exit: { code: 3, time: new Date('2026-01-31T00:00:00Z') },
    },
  },
];

/** Modules that record what is asked of them. */
export class RecordedModules implements LogsManagement, ModulesManagement {
  readonly calls: string[] = [];
  readonly created: ModuleSource[] = [];
  failure: ServiceError | undefined;
  #held: Promise<void> = Promise.resolve();
  #release: () => void = () => undefined;

  /** Operations wait until `release`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#release();
  }

  async log(name: ModuleName, request: LogRequest, signal: AbortSignal): Promise<ModuleLog> {
    const shown = (_key: string, value: unknown): unknown =>
      typeof value === 'bigint' ? String(value) : value;
    this.calls.push(`log ${name} ${JSON.stringify(request, shown)}`);
    if (this.failure !== undefined) throw this.failure;
    if (this.find(name) === undefined) throw new ServiceError('NotFound', 'no such module');
    await Promise.resolve();
    return { isTerminal: this.isTerminal, entries: this.entries(signal) };
  }

  isTerminal = false;
  entries: (signal: AbortSignal) => AsyncIterable<readonly LogEntry[]> = async function* () {
    const time = '2026-11-27T22:53:51.603805489Z';
    yield await Promise.resolve([
      { stream: 'stdout', time, text: Buffer.from('one\n') },
      { stream: 'stderr', time, text: Buffer.from('two\n') },
    ] as const);
  };

  list(): readonly ModuleSummary[] {
    return summaries;
  }

  find(name: ModuleName): ModuleSummary | undefined {
    return summaries.find((one) => one.name === name);
  }

  admit(spec: RunnableSpec): Promise<ModuleSource> {
    if (spec.name === 'forbidden') throw new ServiceError('AccessDenied', 'allow_elevated');
    return Promise.resolve({ ...spec, elevated: true });
  }

  async create(source: ModuleSource): Promise<void> {
    this.created.push(source);
    if (source.name === 'unpulled') throw new ServiceError('Unavailable', 'pulling');
    if (this.find(source.name)) throw new ServiceError('AlreadyExists', 'it exists');
    await this.#held;
  }

  update({ name }: ModuleSource, start: boolean): Promise<void> {
    this.calls.push(`update ${name} ${start}`);
    if (this.failure !== undefined) throw this.failure;
    return this.#held;
  }

  prepare({ name }: ModuleSource): Promise<void> {
    this.calls.push(`prepare ${name}`);
    if (this.failure !== undefined) throw this.failure;
    return this.#held;
  }

  async act(action: ModuleAction, name: ModuleName): Promise<void> {
    this.calls.push(`${action} ${name}`);
    await this.#held;
    if (this.failure !== undefined) throw this.failure;
  }
}
