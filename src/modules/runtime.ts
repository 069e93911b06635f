import { isDeepStrictEqual } from 'node:util';
import { ownRequest, type Via } from '../dbus/via.ts';
import { ServiceError } from '../errors.ts';
import type { ModuleName } from '../ids.ts';
import type { Log } from '../service/log.ts';
import { Repeats } from '../service/repeats.ts';
import type { ModulesConfig } from './config.ts';
import { settingsJson } from './create-options.ts';
import { canonicalJson, keyedDigest } from './digest.ts';
import type { ContainerEngine, LogRequest } from './engine.ts';
import { EngineMonitor, type EngineStatus } from './engine-monitor.ts';
import type { Goal, Prepared, Refused } from './goal.ts';
import {
  type KnownModule,
  knownAgent,
  knownModules,
  readDigestKey,
  recordOf,
} from './known-modules.ts';
import type { ManagedModule } from './managed-module.ts';
import { managerProperties } from './manager-properties.ts';
import { ModuleDirectory } from './module-directory.ts';
import { refuseNames, refuseTaken, refuseUnusable } from './module-names.ts';
import type { ModuleSource } from './module-source.ts';
import type { Request } from './operation.ts';
import { Pacer } from './pacer.ts';
import { Problems } from './problems.ts';
import type { Publisher } from './publisher.ts';
import type { Records } from './records.ts';
import { disarmStrays } from './strays.ts';
import type { ModulesBackend } from './workload-backend.ts';

/** What the runtime is made of. */
export interface RuntimeParts {
  readonly config: ModulesConfig;
  readonly engine: ContainerEngine;
  readonly records: Records;
  readonly socketsPath: string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<Prepared | Refused>;
  readonly foresee: (source: ModuleSource, via: Via) => Promise<Prepared | Refused>;
  readonly backend: (modules: ModuleDirectory) => ModulesBackend;
  readonly publisher: Publisher;
  readonly now: () => Date;
  readonly log: Log;
}

/** All modules of the device. */
export class ModuleRuntime implements AsyncDisposable {
  readonly #parts: RuntimeParts;
  readonly #monitor: EngineMonitor;
  readonly #modules: ModuleDirectory;
  readonly #problems: Problems;
  readonly #requests: Repeats;
  /** Until the last creation is written down: which names are taken is open before. */
  #beginning: Promise<unknown> = Promise.resolve();
  readonly #events = new Pacer((name) => this.#modules.find(name)?.supervisor.wake());
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #digestKey: Buffer | undefined;
  #started = false;
  #watches = false;

  constructor(parts: RuntimeParts) {
    const { records, log } = parts;
    this.#parts = parts;
    this.#problems = new Problems(log);
    this.#requests = new Repeats({ log });
    this.#monitor = new EngineMonitor({
      ...parts,
      onContainer: (name) => this.#events.call(name),
      onStatus: (status) => this.#tellModules(status),
    });
    const module = {
      ...parts,
      get config() {
        return parts.config;
      },
      requests: this.#requests,
      engineStatus: () => this.#monitor.status,
      shownDigest: (digest: string) =>
        this.#digestKey === undefined ? '' : keyedDigest(this.#digestKey, digest),
      saveGoal: (source: ModuleSource, goal: Goal) =>
        records.write(recordOf(source, goal, parts.config.agent)),
    };
    this.#modules = new ModuleDirectory({ ...parts, module, onChange: () => this.#publish() });
  }

  /** Takes up every module that is written down, and the agent; their sockets answer from now on. */
  async open(): Promise<void> {
    const { config, records, socketsPath } = this.#parts;
    const problems = this.#problems;
    this.#digestKey = await readDigestKey(records, problems);
    const known = await knownModules({ agent: config.agent, records, socketsPath, problems });
    for (const { source, goal } of known) {
      try {
        await this.#modules.open(source, goal);
      } catch (error) {
        problems.module(source.name, error);
      }
    }
    this.#publish();
  }

  /** Resolves when it is known how the engine and the modules are; nothing is done with them. */
  async observe(): Promise<void> {
    this.#watch();
    await this.#monitor.known;
    const via = ownRequest(this.#stop.signal);
    await Promise.all(this.#modules.all().map((module) => module.observe(via)));
  }

  /** Begins to look after modules. */
  start(): void {
    this.#watch();
    this.#started = true;
    if (this.#monitor.status.reachable) this.#disarmStrays();
    for (const module of this.#modules.all()) this.#keep(module.run());
  }

  #watch(): void {
    if (this.#watches) return;
    this.#watches = true;
    this.#keep(this.#monitor.run(this.#stop.signal));
  }

  #disarmStrays(): void {
    const isKept = (name: string): boolean => this.#modules.find(name) !== undefined;
    this.#keep(disarmStrays({ ...this.#parts, isKept }, this.#stop.signal));
  }

  /** Puts the configuration in force that is in the place of another one now. */
  async reconfigure(before: ModulesConfig): Promise<void> {
    const { config, records } = this.#parts;
    const { agent } = config;
    const isOther = before.agent !== undefined && before.agent.name !== agent?.name;
    const former = isOther ? this.#modules.find(before.agent.name) : undefined;
    if (former !== undefined) await this.#modules.leave(former);
    for (const module of this.#modules.all()) await module.rebind(config.connect);
    const [known] = agent === undefined ? [] : await knownAgent(agent, records, this.#problems);
    if (known !== undefined) await this.#reconfigureAgent(known);
    if (config.engineSocket !== before.engineSocket) this.#monitor.reconnect();
    this.#publish();
    this.retryAll();
  }

  async #reconfigureAgent({ source, goal }: KnownModule): Promise<void> {
    const present = this.#modules.find(source.name);
    if (present !== undefined) {
      if (!isDeepStrictEqual(present.source, source)) present.source = source;
      return;
    }
    const module = await this.#modules.open(source, goal);
    if (this.#started) this.#keep(module.run());
  }

  /** What was put off for want of an identity may work now. */
  retryAll(): void {
    for (const { supervisor } of this.#modules.all()) supervisor.retry();
  }

  /** Makes a module; AlreadyExists when a name of it is another's, or its own unless it is being made just so. */
  async create(
    source: ModuleSource,
    { wait, requestId }: { readonly wait: boolean; readonly requestId: string },
  ): Promise<void> {
    refuseUnusable(source.name);
    const beginning = this.#beginning.then(() => this.#begin(source, { wait, requestId }));
    this.#beginning = beginning.catch(() => undefined); // its caller is told
    const { done } = await beginning;
    if (wait) await done;
  }

  /** Joins or begins a creation; resolves when it is written down. */
  async #begin(
    source: ModuleSource,
    { wait, requestId }: { readonly wait: boolean; readonly requestId: string },
  ) {
    const { name } = source;
    const present = this.#modules.find(name);
    const same = present !== undefined && canonicalJson(present.source) === canonicalJson(source);
    if (present !== undefined) refuseVanishing(present);
    if (present !== undefined && !(same && present.supervisor.verb === 'CreateModule')) {
      throw new ServiceError('AlreadyExists', `module ${JSON.stringify(name)} exists`);
    }
    const others = this.#modules.all().map((module) => module.source);
    refuseNames(source, this.#parts.config);
    refuseTaken(source, others, this.#parts.config);
    if (present === undefined) this.#parts.records.refuseDamaged(name);
    const module = present ?? (await this.#modules.open(source, 'absent'));
    const request: Request = { verb: 'CreateModule', goal: 'stopped', revert: wait, requestId };
    const asked = await this.#ask(module, request);
    if (present === undefined && this.#started) this.#keep(module.run());
    return asked;
  }

  /** Changes what shall become of a module. */
  async change(
    name: ModuleName,
    request: Request,
    { wait }: { readonly wait: boolean },
  ): Promise<void> {
    const module = this.#modules.require(name);
    if (request.goal === 'absent' && name === this.#parts.config.agent?.name) {
      const text = `module ${JSON.stringify(name)} is the agent: modules.yaml says whether there is one`;
      throw new ServiceError('NotSupported', text);
    }
    if (request.goal !== 'absent') refuseVanishing(module);
    const { done } = await module.supervisor.request(request);
    if (wait) await done;
  }

  cancel(name: ModuleName): void {
    this.#modules.require(name).supervisor.cancel();
  }

  /** A module's configuration without its registry password. */
  configOf(name: ModuleName): string {
    const { auth, ...settings } = this.#modules.require(name).source.settings;
    const { password: _password, ...shown } = auth ?? {};
    return JSON.stringify(settingsJson({ ...settings, auth: auth && shown }));
  }

  logs(name: ModuleName, request: LogRequest, signal: AbortSignal): Promise<Buffer> {
    return this.#parts.engine.logs(this.#modules.require(name).name, request, signal);
  }

  /** Stops looking after modules; their containers stay as they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#events[Symbol.dispose]();
    await Promise.all(this.#modules.all().map((module) => module[Symbol.asyncDispose]()));
    await Promise.all(this.#running);
    this.#requests[Symbol.dispose]();
  }

  async #ask(module: ManagedModule, request: Request) {
    try {
      return await module.supervisor.request(request);
    } catch (error) {
      if (module.report.goal === 'absent') await this.#modules.forget(module);
      throw error;
    }
  }

  #keep(promise: Promise<unknown>): void {
    const kept: Promise<unknown> = promise.finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** An engine that comes back is news only when it stayed before. */
  #tellModules({ reachable, steady }: EngineStatus): void {
    this.#publish();
    if (reachable && this.#started) this.#disarmStrays();
    for (const { supervisor } of this.#modules.all()) {
      if (reachable && steady) supervisor.retry();
      else supervisor.wake();
    }
  }

  #publish(): void {
    const { config, publisher } = this.#parts;
    const agent = config.agent && this.#modules.find(config.agent.name);
    const { texts: problems } = this.#problems;
    const Agent = config.agent?.name ?? '';
    publisher.set({
      ...managerProperties({ engine: this.#monitor.status, problems, agent }),
      Agent,
    });
  }
}

/** A module whose removal is not finished, such as while there is no engine, is no longer to be had. */
function refuseVanishing({ name, report, supervisor }: ManagedModule): void {
  if (report.goal !== 'absent' || supervisor.verb === 'CreateModule') return;
  throw new ServiceError('Unavailable', `module ${JSON.stringify(name)} is being removed`);
}
