import { ownRequest, type Via } from '../dbus/client/via.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { ModuleName } from '../ids.ts';
import type { modulesService } from '../interfaces/modules.ts';
import type { Log } from '../service/log/log.ts';
import { Repeats } from '../service/log/repeats.ts';
import { Operations } from '../service/operations/operations.ts';
import { Acceptance } from './acceptance.ts';
import type { ConnectionLimits } from './api/http/connections.ts';
import type { ExchangeServer } from './api/http/exchange.ts';
import type { SocketStore } from './api/http/listen.ts';
import type { Route } from './api/http/route.ts';
import type { ModuleSummary } from './api/module-list.ts';
import type { ModulesBackend } from './api/workload/workload-backend.ts';
import type { ModulesConfig } from './config/config.ts';
import { settingsJson } from './docker/create-options/create-options.ts';
import { keyedDigest } from './docker/digest.ts';
import { type LastingLog, lastingLog } from './logs/lasting-log.ts';
import { withFailedOutput } from './logs/with-failed-output.ts';
import type { ManagedModule } from './managed-module.ts';
import { type ModuleOperations, moduleOperations, resumeOperation } from './module-operations.ts';
import { ModuleOrder } from './module-order.ts';
import type { ModuleSource } from './module-source.ts';
import { Pacer } from './pacer.ts';
import { managerProperties } from './properties.ts';
import { unrecordedAgents } from './registry/former-agents.ts';
import type { ModuleHistories } from './registry/module-histories.ts';
import { ModuleRegistry } from './registry/module-registry.ts';
import { recorded } from './registry/reconfigured.ts';
import type { Records } from './registry/records.ts';
import {
  isCreatedByCall,
  readDigestKey,
  recordOf,
  refuseTakenAgent,
  restoreAgent,
  restoreModules,
} from './registry/restore.ts';
import { RestoreErrors } from './registry/restore-errors.ts';
import type { SavedState } from './supervisor/desired-state.ts';
import { EngineMonitor, type EngineStatus } from './supervisor/engine-monitor.ts';
import type {
  Cgroup,
  InstanceSpec,
  LogRequest,
  ModuleType,
  Refused,
} from './supervisor/module-type.ts';
import { disarm, disarmOrphans } from './supervisor/restart/auto-restart.ts';
import { OrphanedKeeps } from './supervisor/update/orphaned-keeps.ts';
import type { TrialLimits } from './supervisor/update/trial.ts';

/** Dependencies of the runtime. */
export interface ModuleRuntimeOptions {
  readonly config: ModulesConfig;
  readonly type: ModuleType;
  readonly records: Records;
  readonly histories: ModuleHistories;
  readonly socketsPath: string;
  readonly socketStore: SocketStore;
  /** Of every socket. */
  readonly connections: ConnectionLimits;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  readonly foresee: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  /** Pulls what an instance needs, whether its module exists or not. */
  readonly fetch: (source: ModuleSource, via: Via) => Promise<void>;
  /** The engine is reached, at first or again; not before the runtime has its name. */
  readonly onEngine: () => void;
  /** How long the new instance of an update is observed. */
  readonly trial?: Partial<TrialLimits> | undefined;
  readonly eraseIdentity: (name: ModuleName, via: Via) => Promise<void>;
  /** Lets a module be registered again whose identity was deleted. */
  readonly reclaimIdentity: (name: ModuleName) => void;
  readonly backend: (modules: ModuleRegistry) => ModulesBackend;
  /** The management API of the agent. */
  readonly management: (runtime: ModuleRuntime) => readonly Route[];
  readonly objects: ObjectManager<typeof modulesService>;
  readonly now: () => Date;
  readonly log: Log;
}

/** All modules of the device. */
export class ModuleRuntime implements AsyncDisposable {
  readonly operations: Operations;
  readonly kinds: ModuleOperations;
  /** The routes of the management API. */
  readonly management: readonly Route[];
  /** Counts refused and failed requests on sockets. */
  readonly requests: Repeats;
  readonly #options: ModuleRuntimeOptions;
  readonly #monitor: EngineMonitor;
  readonly #modules: ModuleRegistry;
  readonly #problems: RestoreErrors;
  readonly #acceptance: Acceptance;
  readonly #events = new Pacer((name) => this.#changed(name));
  readonly #keeps: OrphanedKeeps;
  readonly #order: ModuleOrder;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #digestKey: Buffer | undefined;
  #started = false;
  #watches = false;

  constructor(options: ModuleRuntimeOptions) {
    const { records, log } = options;
    this.#options = options;
    this.#problems = new RestoreErrors(log);
    this.requests = new Repeats({ log });
    this.#monitor = new EngineMonitor({
      ...options,
      onInstance: (name) => this.#events.call(name),
      onEnd: (end) => this.#modules.find(end.name)?.supervisor.reportEnd(end),
      onStatus: (status) => this.#notifyModules(status),
    });
    const module = {
      ...options,
      engineStatus: () => this.#monitor.status,
      shownDigest: (digest: string) =>
        this.#digestKey === undefined ? '' : keyedDigest(this.#digestKey, digest),
      save: (state: SavedState, source: ModuleSource) =>
        records.write(recordOf(source, state, options.config.agent)),
      operation: (name: ModuleName) => this.operations.verb(name),
      admit: (name: ModuleName) => this.#order.admit(name),
      engineRanSince: () => this.#order.engineRanSince,
      onKept: () => this.#releaseKept(),
    };
    this.#keeps = new OrphanedKeeps({
      ...options,
      records: records.modules,
      isKnown: this.#isKnown,
    });
    this.#order = new ModuleOrder({
      type: options.type,
      get config() {
        return options.config;
      },
      modules: () => this.#modules.all(),
      now: options.now,
      log,
    });
    this.#modules = new ModuleRegistry({
      ...options,
      module,
      sockets: {
        ...options,
        connect: () => options.config.connect,
        agent: () => options.config.agent?.name,
      },
      requests: this.requests,
      management: () => this.management,
      onChange: () => {
        this.#order.changed();
        this.#publish();
      },
    });
    this.#acceptance = new Acceptance({
      get config() {
        return options.config;
      },
      records,
      modules: this.#modules,
      run: (module) => {
        if (this.#started) this.#track(module.run());
      },
      abort: (name, reason) => this.operations.current(name)?.abort(reason),
      now: options.now,
    });
    this.operations = new Operations({
      nameOf: (name) => `module ${JSON.stringify(name)}`,
      onChange: (name) => {
        this.#modules.find(name)?.supervisor.release();
      },
      log,
    });
    this.kinds = moduleOperations({
      require: (name) => this.#modules.require(name),
      find: (name) => this.#modules.find(name),
      claim: (source, accept) => this.#acceptance.claim(source, accept),
      claimUpdate: (update) => this.#acceptance.claimUpdate(update),
      fetch: (source, operation) => this.#options.fetch(source, operation),
      mayDelete: (name) => this.#acceptance.refuseDeletion(name),
      reclaimIdentity: options.reclaimIdentity,
    });
    this.management = options.management(this);
  }

  /** Restores every persisted module and the agent; their sockets accept requests from now on. */
  async open(): Promise<void> {
    const { config, histories, records, socketsPath } = this.#options;
    const problems = this.#problems;
    this.#digestKey = await readDigestKey(records, problems);
    const known = await restoreModules({ agent: config.agent, records, socketsPath, problems });
    if (records.modules.failure === undefined) {
      await histories.retain(new Set([...records.modules.ids(), config.agent?.name ?? '']));
    }
    for (const { source, state } of known) {
      try {
        const isUnproven = records.modules.damaged.has(source.name);
        const module = await this.#modules.open({ source, saved: state, isUnproven });
        if (!records.has(source.name)) await module.supervisor.desired.force(recorded);
        this.#modules.show(module);
      } catch (error) {
        problems.module(source.name, error);
      }
    }
    records.disk.onProblem((problem) => {
      problems.disk(problem);
      this.#publish();
    });
    this.#publish();
  }

  /** Observes the engine and all modules; only gives renamed containers their names back. */
  async observe(): Promise<void> {
    this.#watch();
    await this.#monitor.known;
    const via = ownRequest(this.#stop.signal);
    // before an agent starts: it waits until former ones are removed
    const retired = this.#monitor.status.reachable ? [this.#retireAgents()] : [];
    await Promise.all([...retired, ...this.#modules.all().map((module) => module.observe(via))]);
  }

  /** Begins to reconcile modules. */
  start(): void {
    this.#watch();
    this.#started = true;
    this.#order.begin();
    if (this.#monitor.status.reachable) this.#engineReached();
    for (const module of this.#modules.all()) {
      this.#track(module.run());
      resumeOperation(this.operations, this.kinds, module);
    }
  }

  #watch(): void {
    if (this.#watches) return;
    this.#watches = true;
    this.#track(this.#monitor.run(this.#stop.signal));
  }

  #engineReached(): void {
    this.#options.onEngine();
    const parts = { ...this.#options, isKnown: this.#isKnown };
    this.#track(disarmOrphans(parts, this.#stop.signal));
    this.#track(this.#retireAgents());
    this.#releaseKept();
  }

  /** Reconciles the module whose instance changed; an instance without a module must not be restarted by the engine. */
  #changed(name: string): void {
    const module = this.#modules.find(name);
    if (module !== undefined) module.supervisor.wake();
    else if (this.#started) this.#track(disarm(name, this.#options, this.#stop.signal));
  }

  /** Releases what is kept for updates of modules that were deleted since. */
  #releaseKept(): void {
    this.#track(this.#keeps.release(this.#stop.signal));
  }

  /** Removes agents of earlier versions that modules.yaml does not name. Never rejects. */
  async #retireAgents(): Promise<void> {
    const parts = { ...this.#options, isKnown: this.#isKnown };
    for (const name of await unrecordedAgents(parts, this.#stop.signal)) {
      try {
        await this.#acceptance.retireAgent(name);
      } catch (error) {
        this.#problems.module(name, error);
      }
    }
  }

  readonly #isKnown = (name: string): boolean => this.#modules.find(name) !== undefined;

  /** Applies a changed configuration. */
  async reconfigure(before: ModulesConfig): Promise<void> {
    const { config, records } = this.#options;
    const { agent } = config;
    if (agent !== undefined) refuseTakenAgent(agent, records);
    const wasAgent = before.agent !== undefined && !isCreatedByCall(before.agent.name, records);
    const isOther = wasAgent && before.agent.name !== agent?.name;
    const former = isOther ? this.#modules.find(before.agent.name) : undefined;
    await this.#modules.rebindSockets();
    const [known] = agent === undefined ? [] : await restoreAgent(agent, records, this.#problems);
    await this.#acceptance.claimAgent(known, former);
    if (config.engineSocket !== before.engineSocket) this.#monitor.reconnect();
    this.#publish();
    this.#modules.retry(() => true);
  }

  /** Retries at once modules whose identity may be another one now, and those that have none. */
  retryIdentities(isOther: (name: ModuleName) => boolean): void {
    this.#modules.retry(isOther);
  }

  /** What all modules demand, and what they demanded before an update that is pending. */
  sources(): readonly ModuleSource[] {
    return this.#modules.all().flatMap((module) => module.sources);
  }

  /** The names of all modules. */
  names(): readonly ModuleName[] {
    return this.#modules.all().map(({ name }) => name);
  }

  /** The workload API for the modules' processes that call on a socket of the host; `own` is the group of this one. */
  hostWorkload(own: Cgroup): ExchangeServer {
    return this.#modules.hostWorkload(own);
  }

  /** The module of that name, undefined when there is none. */
  find(name: ModuleName): ManagedModule | undefined {
    return this.#modules.find(name);
  }

  /** Publishes how the modules' network differs from what is configured, `` when it does not. */
  reportNetwork(problem: string): void {
    if (!this.#problems.network(problem)) return;
    if (problem !== '') this.#options.log.warn('network not as configured', { problem });
    this.#publish();
  }

  /** The public parts of all modules. */
  summaries(): readonly ModuleSummary[] {
    return this.#modules.all().map((module) => module.summary());
  }

  /** A module's configuration without its registry password. */
  configOf(name: ModuleName): string {
    const { auth, ...settings } = this.#modules.require(name).source.settings;
    const { password: _password, ...shown } = auth ?? {};
    return JSON.stringify(settingsJson({ ...settings, auth: auth && shown }));
  }

  /**
   * The log of a module behind what the container printed last of an update that was rolled back; it ends with the module,
   * too.
   */
  async log(name: ModuleName, request: LogRequest, signal: AbortSignal): Promise<LastingLog> {
    const { ended, supervisor } = this.#modules.require(name);
    const log = await lastingLog({ type: this.#options.type, name, ended }, request, signal);
    return withFailedOutput(log, supervisor.failedOutput.last, request);
  }

  /** Stops supervising modules; their instances stay as they are, unless the configuration says otherwise. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.operations.stop();
    this.#stop.abort();
    this.#events[Symbol.dispose]();
    if (this.#started) await this.#order.end(() => Promise.all(this.#running));
    await Promise.all(this.#modules.all().map((module) => module[Symbol.asyncDispose]()));
    await Promise.all(this.#running);
    await stopped;
    this.requests[Symbol.dispose]();
  }

  /** Disposal waits for it. */
  #track(promise: Promise<unknown>): void {
    const tracked: Promise<unknown> = promise.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  /** Modules are retried when the engine is reachable again, but not when it keeps failing. */
  #notifyModules({ reachable, steady }: EngineStatus): void {
    this.#publish();
    if (reachable && this.#started) this.#engineReached();
    for (const { supervisor } of this.#modules.all()) {
      if (reachable && steady) supervisor.retry();
      else supervisor.wake();
    }
  }

  #publish(): void {
    const { config, objects } = this.#options;
    const agent = config.agent && this.#modules.find(config.agent.name);
    const { texts: problems } = this.#problems;
    const agentName = config.agent?.name ?? '';
    const view = { engine: this.#monitor.status, problems, agent, agentName };
    objects.setProperties(managerProperties(view));
  }
}
