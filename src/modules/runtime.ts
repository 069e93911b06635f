import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Properties } from '../dbus/definition.ts';
import { describeError, ServiceError } from '../errors.ts';
import type { ModuleName } from '../ids.ts';
import type { moduleInterface, modulesInterface } from '../interfaces/modules.ts';
import type { Log } from '../service/log.ts';
import { DamagedFile } from '../service/state-file.ts';
import type { WorkloadBackend } from './api/workload.ts';
import type { ModulesConfig } from './config.ts';
import { parseSettings } from './create-options.ts';
import { canonicalJson, keyedDigest } from './digest.ts';
import type { ContainerEngine, LogRequest } from './engine.ts';
import { EngineMonitor } from './engine-monitor.ts';
import type { Goal, Prepared } from './goal.ts';
import { ManagedModule, type ModuleParts } from './managed-module.ts';
import { refuseTaken, refuseUnusable } from './module-names.ts';
import { problemOf } from './module-properties.ts';
import type { Request } from './operation.ts';
import type { ModuleSource } from './prepare.ts';
import type { Records } from './records.ts';

/** Where what there is to know about modules is shown. */
export interface Publisher {
  put(name: string, properties: Properties<typeof moduleInterface>): void;
  remove(name: string): void;
  manager(values: Partial<Properties<typeof modulesInterface>>): void;
}

/** What the runtime knows that the workload API asks about. */
export interface ModuleDirectory {
  modules(): readonly ManagedModule[];
  find(name: ModuleName): ManagedModule | undefined;
}

/** What the runtime is made of. */
export interface RuntimeParts {
  readonly config: ModulesConfig;
  readonly engine: ContainerEngine;
  readonly records: Records;
  readonly socketsPath: string;
  readonly prepare: (source: ModuleSource, signal: AbortSignal) => Promise<Prepared>;
  readonly backend: (directory: ModuleDirectory) => WorkloadBackend;
  readonly publisher: Publisher;
  readonly now: () => Date;
  readonly log: Log;
}

/** All modules of the device. */
export class ModuleRuntime implements ModuleDirectory, AsyncDisposable {
  readonly #parts: RuntimeParts;
  readonly #monitor: EngineMonitor;
  readonly #modules = new Map<ModuleName, ManagedModule>();
  /** Until the last creation is written down: which names are taken is open before. */
  #beginning: Promise<unknown> = Promise.resolve();
  readonly #stop = new AbortController();
  readonly #problems = new Map<string, string>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #backend: WorkloadBackend;
  #digestKey: Buffer | undefined;
  #started = false;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.#backend = parts.backend(this);
    this.#monitor = new EngineMonitor({
      engine: parts.engine,
      log: parts.log,
      now: parts.now,
      onContainer: (name) => this.#byContainer(name)?.supervisor.wake(),
      onStatus: ({ reachable, steady }) => {
        this.#publishManager();
        for (const module of this.#modules.values()) {
          if (reachable && steady) module.supervisor.retry();
          else module.supervisor.wake();
        }
      },
    });
  }

  /** Takes up every module that is written down, and the agent; their sockets answer from now on. */
  async open(): Promise<void> {
    const { config, records, socketsPath } = this.#parts;
    await mkdir(socketsPath, { recursive: true, mode: 0o700 });
    const { records: found, damaged, names } = await records.readAll();
    for (const { path, message } of damaged) this.#problems.set(path, message);
    await this.#readDigestKey();
    const { agent } = config;
    await this.#removeOrphans(new Set([...names, agent?.name]));
    for (const { name, settings, env, elevated, goal } of found) {
      if (name === agent?.name || settings === undefined) continue;
      await this.#takeUp(name, () => ({ name, settings, env, elevated }), goal);
    }
    if (agent !== undefined) {
      const { name, env } = agent;
      const goal = found.find((record) => record.name === name)?.goal ?? 'started';
      await this.#takeUp(
        name,
        () => ({ name, settings: parseSettings(agent.config), env, elevated: true }),
        goal,
      );
    }
  }

  /** Begins to look after modules. */
  start(): void {
    this.#keep(this.#monitor.run(this.#stop.signal));
    this.#started = true;
    for (const module of this.modules()) this.#keep(module.run());
  }

  /** Shows everything once more, to a publisher that has just come to be. */
  publishAll(): void {
    for (const module of this.modules()) this.#publish(module);
    this.#publishManager();
  }

  modules(): readonly ManagedModule[] {
    return [...this.#modules.values()];
  }

  find(name: ModuleName): ManagedModule | undefined {
    return this.#modules.get(name);
  }

  /** What was put off for want of an identity may work now. */
  retryAll(): void {
    for (const { supervisor } of this.#modules.values()) supervisor.retry();
  }

  /** Makes a module; AlreadyExists when a name of it is another's, or its own unless it is being made just so. */
  async create(source: ModuleSource, { wait }: { readonly wait: boolean }): Promise<void> {
    refuseUnusable(source.name);
    const beginning = this.#beginning.then(() => this.#begin(source, wait));
    this.#beginning = beginning.catch(() => undefined); // its caller is told
    const { done } = await beginning;
    if (wait) await done;
  }

  /** Joins or begins a creation; resolves when it is written down. */
  async #begin(source: ModuleSource, revert: boolean) {
    const { name } = source;
    const present = this.#modules.get(name);
    const same = present !== undefined && canonicalJson(present.source) === canonicalJson(source);
    if (present !== undefined) refuseVanishing(present);
    if (present !== undefined && !(same && present.supervisor.verb === 'Create')) {
      throw new ServiceError('AlreadyExists', `module ${JSON.stringify(name)} exists`);
    }
    const others = this.modules().map((module) => module.source);
    refuseTaken(source, others, this.#parts.config);
    const module = present ?? (await this.#open(source, 'absent'));
    const asked = await this.#ask(module, { verb: 'Create', goal: 'stopped', revert });
    if (present === undefined && this.#started) this.#keep(module.run());
    return asked;
  }

  /** Changes what shall become of a module. */
  async change(
    name: ModuleName,
    request: Request,
    { wait }: { readonly wait: boolean },
  ): Promise<void> {
    const module = this.#require(name);
    if (request.goal === 'absent' && name === this.#parts.config.agent?.name) {
      const text = `module ${JSON.stringify(name)} is the agent: modules.yaml says whether there is one`;
      throw new ServiceError('NotSupported', text);
    }
    if (request.goal !== 'absent') refuseVanishing(module);
    const { done } = await module.supervisor.request(request);
    if (wait) await done;
  }

  cancel(name: ModuleName): void {
    this.#require(name).supervisor.cancel();
  }

  /** A module's configuration without its registry password. */
  configOf(name: ModuleName): string {
    const { image, createOptions, auth } = this.#require(name).source.settings;
    const { password: _password, ...shown } = auth ?? {};
    return JSON.stringify({ image, createOptions, ...(auth !== undefined && { auth: shown }) });
  }

  logs(name: ModuleName, request: LogRequest, signal: AbortSignal): Promise<Buffer> {
    return this.#parts.engine.logs(this.#require(name).name, request, signal);
  }

  /** Stops looking after modules; their containers stay as they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.modules().map((module) => module[Symbol.asyncDispose]()));
    await Promise.all(this.#running);
  }

  /** Directories of modules whose creation ended before it was written down. */
  async #removeOrphans(known: ReadonlySet<string | undefined>): Promise<void> {
    const { socketsPath } = this.#parts;
    for (const name of await readdir(socketsPath)) {
      if (!known.has(name)) await rm(join(socketsPath, name), { recursive: true, force: true });
    }
  }

  /** Without the key, nothing is said about what modules are made from. */
  async #readDigestKey(): Promise<void> {
    try {
      this.#digestKey = await this.#parts.records.digestKey();
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#problems.set(error.path, error.message);
    }
  }

  /** One module that cannot be taken up is no reason to leave the others. */
  async #takeUp(name: ModuleName, read: () => ModuleSource, goal: Goal): Promise<void> {
    try {
      await this.#open(read(), goal);
    } catch (error) {
      this.#parts.log.error('module not taken up', { module: name, error: describeError(error) });
      this.#problems.set(name, `module ${JSON.stringify(name)}: ${describeError(error)}`);
    }
  }

  async #open(source: ModuleSource, goal: Goal): Promise<ManagedModule> {
    const { records, config, ...rest } = this.#parts;
    const parts: ModuleParts = {
      ...rest,
      config,
      backend: this.#backend,
      engineStatus: () => this.#monitor.status,
      shownDigest: (digest) =>
        this.#digestKey === undefined ? '' : keyedDigest(this.#digestKey, digest),
      saveGoal: ({ name, settings, env, elevated }, changed) =>
        records.write({
          name,
          goal: changed,
          ...(name === config.agent?.name
            ? { settings: undefined, env: {}, elevated: false }
            : { settings, env, elevated }),
        }),
      forget: (module) => this.#forget(module),
      onChange: (module) => this.#publish(module),
    };
    const module = await ManagedModule.open(parts, source, goal);
    this.#modules.set(source.name, module);
    this.#publish(module);
    return module;
  }

  async #ask(module: ManagedModule, request: Request) {
    try {
      return await module.supervisor.request(request);
    } catch (error) {
      if (module.report.goal === 'absent') await this.#forget(module);
      throw error;
    }
  }

  async #forget(module: ManagedModule): Promise<void> {
    const { log, publisher, records } = this.#parts;
    try {
      await module.removeDirectory();
      await records.delete(module.name);
    } catch (error) {
      log.error('module not forgotten', { module: module.name, error: describeError(error) });
    }
    // Until here, another of the same name would share its record and its directory.
    this.#modules.delete(module.name);
    publisher.remove(module.name);
    this.#publishManager();
  }

  #keep(promise: Promise<unknown>): void {
    const kept: Promise<unknown> = promise.finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  #publish(module: ManagedModule): void {
    if (this.#modules.get(module.name) !== module) return;
    this.#parts.publisher.put(module.name, module.properties());
    this.#publishManager();
  }

  #publishManager(): void {
    const { name, version, reachable, error } = this.#monitor.status;
    const { agent: configured } = this.#parts.config;
    const agent = configured && this.#modules.get(configured.name);
    const problems = [
      ...(error === '' ? [] : [error]),
      ...this.#problems.values(),
      ...(agent === undefined ? [] : problemsOf(agent)),
    ];
    this.#parts.publisher.manager({
      Engine: { name, version, reachable },
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: problems[0] ?? '',
    });
  }

  #byContainer(name: string): ManagedModule | undefined {
    return this.modules().find((module) => module.name === name);
  }

  #require(name: ModuleName): ManagedModule {
    const module = this.#modules.get(name);
    if (module === undefined) {
      throw new ServiceError('NotFound', `no module ${JSON.stringify(name)}`);
    }
    return module;
  }
}

function problemsOf({ name, report }: ManagedModule): readonly string[] {
  const problem = problemOf(report);
  return problem === '' ? [] : [`module ${JSON.stringify(name)}: ${problem}`];
}

/** A module whose removal is not finished, such as while there is no engine, is no longer to be had. */
function refuseVanishing({ name, report, supervisor }: ManagedModule): void {
  if (report.goal !== 'absent' || supervisor.verb === 'Create') return;
  throw new ServiceError('Unavailable', `module ${JSON.stringify(name)} is being removed`);
}
