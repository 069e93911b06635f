import { rm } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Via } from '../dbus/client/via.ts';
import type { Properties } from '../dbus/definition.ts';
import type { ModuleName } from '../ids.ts';
import type { moduleInterface } from '../interfaces/modules.ts';
import type { Log } from '../service/log/log.ts';
import type { Repeats } from '../service/log/repeats.ts';
import { createSocketDirectory } from './api/http/socket.ts';
import { type ModuleSummary, runtimeStatusOf } from './api/module-list.ts';
import type { WorkloadBackend } from './api/workload.ts';
import { serveWorkload } from './api/workload-socket.ts';
import type { ApiPaths, ModulesConfig } from './config/config.ts';
import { memberObject, restartPolicyOf } from './docker/create-options/create-options.ts';
import type { ContainerEngine } from './docker/engine.ts';
import type { ModuleSource } from './module-source.ts';
import { moduleProperties } from './properties.ts';
import type { SavedState } from './supervisor/desired-state.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
import { isAbsence, type ModuleStatus, type Prepared, type Refused } from './supervisor/goal.ts';
import { Supervisor } from './supervisor/supervisor.ts';

/** What a module is kept with. */
export interface ModuleParts {
  readonly config: ModulesConfig;
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly backend: WorkloadBackend;
  readonly socketsPath: string;
  /** What everybody may see of a configuration's digest. */
  readonly shownDigest: (digest: string) => string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<Prepared | Refused>;
  /** As `prepare`, and registers nothing: NotFound for a module without an identity. */
  readonly foresee: (source: ModuleSource, via: Via) => Promise<Prepared | Refused>;
  readonly save: (source: ModuleSource, state: SavedState) => Promise<void>;
  /** Gives up a module's identity at the hub. */
  readonly eraseIdentity: (name: ModuleName, via: Via) => Promise<void>;
  /** The operation in progress for a module, `` when there is none. */
  readonly operation: (name: ModuleName) => string;
  readonly remove: (module: ManagedModule) => Promise<void>;
  readonly onChange: (module: ManagedModule) => void;
  readonly now: () => Date;
  readonly log: Log;
  /** Where refused and failed requests of modules are counted. */
  readonly requests: Repeats;
}

/** A module: its configuration, its supervisor and its socket. */
export class ManagedModule implements AsyncDisposable {
  /** Of the agent, another one after its configuration changed. */
  source: ModuleSource;
  readonly supervisor: Supervisor;
  readonly #parts: ModuleParts;
  readonly #stop = new AbortController();
  readonly #operation: () => string;
  #digest = '';
  #sockets: AsyncDisposable | undefined;
  #directory = '';
  #socketName = '';
  #serve: ((name: string) => Promise<AsyncDisposable>) | undefined;

  private constructor(parts: ModuleParts, source: ModuleSource, saved: SavedState) {
    const { engine, engineStatus, now, log } = parts;
    this.#parts = parts;
    this.source = source;
    const sourceOf = (): ModuleSource => this.source;
    this.#operation = () => parts.operation(source.name);
    this.supervisor = new Supervisor({
      name: source.name,
      saved,
      engine,
      engineStatus,
      get restartPolicy() {
        return restartPolicyOf(sourceOf().settings);
      },
      prepare: async (via) => {
        const prepared = await parts.prepare(this.source, via);
        if (prepared.refusal === undefined) this.#digest = parts.shownDigest(prepared.digest);
        return prepared;
      },
      save: (state) => parts.save(this.source, state),
      eraseIdentity: (via) => parts.eraseIdentity(source.name, via),
      remove: () => parts.remove(this),
      onStatus: () => parts.onChange(this),
      now,
      log,
    });
  }

  /** Makes the module's socket; nothing is done with its container before `run`. */
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

  /** Finds out how the module is, for those who read it before anything is done with it. Never rejects. */
  async observe(via: Via): Promise<void> {
    const { foresee, onChange, shownDigest } = this.#parts;
    await this.supervisor.observe(via.signal);
    // what fails here fails again, and is told, when something is done
    const foreseen = await foresee(this.source, via).catch(() => undefined);
    if (foreseen === undefined || foreseen.refusal !== undefined || this.#digest !== '') return;
    this.#digest = shownDigest(foreseen.digest);
    onChange(this);
  }

  /** Whether it is being removed, and no operation waits for that. */
  get isVanishing(): boolean {
    const { goal, operation } = this.supervisor.desired;
    return isAbsence(goal) && operation === undefined;
  }

  /** Looks after the container until disposed of, or until it is absent as wanted. */
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
      type: 'docker',
      image: settings.image,
      labels: Object.fromEntries(labels.map(([key, value]) => [key, String(value)])),
      status: runtimeStatusOf(this.status),
    };
  }

  /** Removes the directory of its socket: the module is gone. */
  async removeDirectory(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Stops looking after it; its container stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const sockets = this.#sockets;
    this.#sockets = undefined;
    await sockets?.[Symbol.asyncDispose]();
  }

  /** Serves its socket where the configuration has it now. */
  async rebind({ workload }: ApiPaths): Promise<void> {
    const name = posix.basename(workload);
    if (name === this.#socketName || this.#serve === undefined) return;
    const before = this.#sockets;
    this.#sockets = await this.#serve(name);
    this.#socketName = name;
    await before?.[Symbol.asyncDispose]();
  }

  async #open(parts: ModuleParts): Promise<void> {
    const { config, socketsPath } = parts;
    this.#directory = await createSocketDirectory(socketsPath, this.name);
    this.#serve = (name) => {
      const place = { directory: this.#directory, name, mode: 0o666 };
      return serveWorkload({ ...parts, place, module: this.name });
    };
    await this.rebind(config.connect);
  }
}
