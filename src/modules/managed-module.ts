import { rm } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Via } from '../dbus/client/via.ts';
import type { Properties } from '../dbus/definition.ts';
import type { ModuleName } from '../ids.ts';
import type { moduleInterface } from '../interfaces/modules.ts';
import type { Log } from '../service/log/log.ts';
import type { Repeats } from '../service/log/repeats.ts';
import type { SocketStore } from './api/http/listen.ts';
import { createSocketDirectory, type ServedSocket } from './api/http/socket.ts';
import { type ModuleSummary, runtimeStatusOf } from './api/module-list.ts';
import type { WorkloadBackend } from './api/workload.ts';
import { serveWorkload } from './api/workload-socket.ts';
import type { ApiPaths, ModulesConfig } from './config/config.ts';
import { memberObject, restartPolicyOf } from './docker/create-options/create-options.ts';
import type { ModuleSource } from './module-source.ts';
import { moduleProperties } from './properties.ts';
import { isAbsence, type SavedState } from './supervisor/desired-state.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
import type { InstanceSpec, ModuleType, Refused } from './supervisor/module-type.ts';
import type { ModuleStatus } from './supervisor/status.ts';
import { Supervisor } from './supervisor/supervisor.ts';

/** Dependencies of a module. */
export interface ModuleParts {
  readonly config: ModulesConfig;
  readonly type: ModuleType;
  readonly engineStatus: () => EngineStatus;
  readonly backend: WorkloadBackend;
  readonly socketsPath: string;
  readonly socketStore?: SocketStore;
  /** The published form of a configuration's digest. */
  readonly shownDigest: (digest: string) => string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  /** As `prepare`, and registers nothing: NotFound for a module without an identity. */
  readonly foresee: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  readonly save: (source: ModuleSource, state: SavedState) => Promise<void>;
  /** Deletes a module's identity at the hub. */
  readonly eraseIdentity: (name: ModuleName, via: Via) => Promise<void>;
  /** The operation in progress for a module, `` when there is none. */
  readonly operation: (name: ModuleName) => string;
  readonly remove: (module: ManagedModule) => Promise<void>;
  readonly onChange: (module: ManagedModule) => void;
  readonly now: () => Date;
  readonly log: Log;
  /** Counts refused and failed requests of modules. */
  readonly requests: Repeats;
}

/** A module: its configuration, its supervisor and its socket. */
export class ManagedModule implements AsyncDisposable {
  /** Replaced when the agent's configuration changes. */
  source: ModuleSource;
  readonly supervisor: Supervisor;
  readonly #parts: ModuleParts;
  readonly #stop = new AbortController();
  readonly #operation: () => string;
  #digest = '';
  #socket: ServedSocket | undefined;
  #directory = '';
  #socketName = '';
  #serve: ((name: string) => Promise<ServedSocket>) | undefined;

  private constructor(parts: ModuleParts, source: ModuleSource, saved: SavedState) {
    const { type, engineStatus, now, log } = parts;
    this.#parts = parts;
    this.source = source;
    const sourceOf = (): ModuleSource => this.source;
    this.#operation = () => parts.operation(source.name);
    this.supervisor = new Supervisor({
      name: source.name,
      saved,
      type,
      engineStatus,
      get restartPolicy() {
        return restartPolicyOf(sourceOf().settings);
      },
      prepare: async (via) => {
        const spec = await parts.prepare(this.source, via);
        if (spec.refusal === undefined) this.#digest = parts.shownDigest(spec.digest);
        return spec;
      },
      save: (state) => parts.save(this.source, state),
      eraseIdentity: (via) => parts.eraseIdentity(source.name, via),
      remove: () => parts.remove(this),
      onStatus: () => parts.onChange(this),
      now,
      log,
    });
  }

  /** Creates the module's socket; its instance is left alone until `run`. */
  static async open(
    parts: ModuleParts,
    source: ModuleSource,
    saved: SavedState,
  ): Promise<ManagedModule> {
    const module = new ManagedModule(parts, source, saved);
    await module.#open(parts);
    return module;
  }

  get name(): ModuleName {
    return this.source.name;
  }

  get status(): ModuleStatus {
    return this.supervisor.status;
  }

  /** Observes the module before `run`, for its properties. Never rejects. */
  async observe(via: Via): Promise<void> {
    const { foresee, onChange, shownDigest } = this.#parts;
    await this.supervisor.observe(via.signal);
    // a failure repeats, and is reported, when the module is reconciled
    const foreseen = await foresee(this.source, via).catch(() => undefined);
    if (foreseen === undefined || foreseen.refusal !== undefined || this.#digest !== '') return;
    this.#digest = shownDigest(foreseen.digest);
    onChange(this);
  }

  /** Whether it is being removed without a pending operation. */
  get isVanishing(): boolean {
    const { goal, operation } = this.supervisor.desired;
    return isAbsence(goal) && operation === undefined;
  }

  /** Reconciles the module until it is disposed of, or absent as desired. */
  run(): Promise<unknown> {
    return this.supervisor.run(this.#stop.signal);
  }

  properties(): Properties<typeof moduleInterface> {
    const { name, settings } = this.source;
    const operation = this.#operation();
    return moduleProperties({
      name,
      settings,
      digest: this.#digest,
      status: this.status,
      operation,
    });
  }

  summary(): ModuleSummary {
    const { name, settings } = this.source;
    const labels = Object.entries(memberObject(settings.createOptions, 'Labels'));
    return {
      name,
      type: this.#parts.type.name,
      image: settings.image,
      labels: Object.fromEntries(labels.map(([key, value]) => [key, String(value)])),
      status: runtimeStatusOf(this.status),
    };
  }

  /** Removes the directory of its socket: the module was removed. */
  async removeDirectory(): Promise<void> {
    await this.abandon();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Stops supervising it and removes its socket, for good; its instance stays as it is. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.remove();
  }

  /** Stops supervising it; its instance stays as it is, and its socket for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.[Symbol.asyncDispose]();
  }

  /** Serves its socket at the path of a changed configuration. */
  async rebind({ workload }: ApiPaths): Promise<void> {
    const name = posix.basename(workload);
    if (name === this.#socketName || this.#serve === undefined) return;
    const before = this.#socket;
    this.#socket = await this.#serve(name);
    this.#socketName = name;
    await before?.remove();
  }

  async #open(parts: ModuleParts): Promise<void> {
    const { config, socketsPath, socketStore } = parts;
    this.#directory = await createSocketDirectory(socketsPath, this.name);
    this.#serve = (name) => {
      const place = { directory: this.#directory, name, mode: 0o666, store: socketStore };
      return serveWorkload({ ...parts, place, module: this.name });
    };
    await this.rebind(config.connect);
  }
}
