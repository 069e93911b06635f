/** A module with its operations, that is updated on an engine in memory, by one process after the other. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { ServiceError } from '../../../src/errors.ts';
import { acceptUpdate, reconfigureAgent } from '../../../src/modules/acceptance.ts';
import type { ManagedModule } from '../../../src/modules/managed-module.ts';
import {
  type Change,
  moduleOperations,
  resumeOperation,
} from '../../../src/modules/module-operations.ts';
import type { ModuleSource } from '../../../src/modules/module-source.ts';
import type { SavedState } from '../../../src/modules/supervisor/desired-state.ts';
import type {
  Instance,
  InstanceSpec,
  ModuleType,
} from '../../../src/modules/supervisor/module-type.ts';
import { EngineUnreachable } from '../../../src/modules/supervisor/module-type.ts';
import { Supervisor } from '../../../src/modules/supervisor/supervisor.ts';
import type { Operation } from '../../../src/service/operations/operation.ts';
import { Operations } from '../../../src/service/operations/operations.ts';
import { deadline, until } from '../deadline.ts';
import { failureOf } from '../failure.ts';
import { silentLog } from '../log.ts';
import { moduleSource } from './module-source.ts';

const longMs = 10_000;
/** After a wait that was in vain: the next ones fail for the same reason, most often. */
const shortMs = 500;
let waitMs = longMs;
const name = 'm';
const reachedAt = new Date(0);
/** How long a new container is observed. */
export const trialMs = 10_000;
/** How long it may fail to start. */
export const startMs = 200_000;

interface Container extends Instance {
  readonly name: string;
  /** The image that it was created from, where that is not its digest. */
  readonly image: string;
}

type Verb = 'update' | 'start' | 'stop' | 'remove';

/** How an operation ends. */
interface Outcome {
  /** The code of its failure. */
  readonly code: Promise<string>;
}

/** A running module of `a:1` that can be updated to other images. */
export class UpdatedModule implements AsyncDisposable {
  containers: readonly Container[];
  /** Where the image is kept of the container that an update replaces. */
  kept: string | undefined;
  /** Called when that is left of a module that was removed. */
  onKept: () => void = () => {};
  /** What parked containers have printed. */
  readonly printed = new Map<string, string>();
  /** What is pulled, with its warnings; nothing else has to be. */
  readonly pullWarnings = new Map<string, string>();
  /** The images that tags name since they were moved, by the tags. */
  readonly moved = new Map<string, string>();
  /** The failures of calls, by their first word, as long as they are in it. */
  readonly failures = new Map<string, Error>();
  /** The failures of whole calls that are carried out all the same. */
  readonly failuresAfter = new Map<string, Error>();
  /** Whole calls that the engine does not respond to before these resolve. */
  readonly hanging = new Map<string, Promise<void>>();
  /** Why no instance can be prepared, undefined when one can. */
  unprepared: Error | undefined;
  /** Why another configuration is refused, undefined when it is not. */
  refusal: Error | undefined;
  /** Awaited before an instance is prepared. */
  preparing: Promise<void> | undefined;
  readonly trace: string[] = [];
  nowMs = 1_000;
  #saved: SavedState = { goal: 'started' };
  #source: ModuleSource = moduleSource(name, 'a:1');
  #engineError = '';
  /** The calls that are about to fail. */
  #failing = 0;
  #count = 1;
  #process: Process;

  constructor() {
    this.containers = [this.#container('c1', 'a:1')].map((one) => ({
      ...one,
      state: this.#runs(),
    }));
    this.#process = this.#begin();
  }

  /** A module after a preparation; it ends when that fails. */
  static async after(prepare: (module: UpdatedModule) => Promise<void>): Promise<UpdatedModule> {
    const module = new UpdatedModule();
    try {
      await prepare(module);
      return module;
    } catch (error) {
      await module[Symbol.asyncDispose]();
      throw error;
    }
  }

  get supervisor(): Supervisor {
    return this.#process.supervisor;
  }

  get status() {
    return this.supervisor.status;
  }

  /** What is persisted. */
  get saved(): SavedState {
    return this.#saved;
  }

  /** The containers by name, image and state, without those that carry on. */
  get listed(): readonly string[] {
    const list = this.containers.map((one) => `${one.name} ${one.image} ${one.state.kind}`);
    return list.toSorted();
  }

  /** The code of the failure of an operation. */
  async operate(verb: Verb, to = ''): Promise<string> {
    const ended = async () => (await this.#begun(verb, to, {}, true)).outcome;
    return failureOf(deadline(longMs, ended(), () => `the end of ${verb}: ${this.#shown}`));
  }

  /** Begins an operation that no caller waits for; resolves, when it is accepted, to how it ends. */
  async begin(verb: 'update' | 'start' | 'stop', to = '', change: Change = {}): Promise<Outcome> {
    const { outcome } = await this.#begun(verb, to, change, false);
    return { code: failureOf(outcome) };
  }

  /** The module is the agent and modules.yaml has another image for it. */
  async reload(image: string): Promise<void> {
    const { operations, supervisor } = this.#process;
    const agent = { name: moduleSource(name).name, supervisor };
    await reconfigureAgent(agent, moduleSource(name, image), (id, reason) =>
      operations.current(id)?.abort(reason),
    );
  }

  /** Whether an operation is in progress. */
  get isBusy(): boolean {
    return this.#process.operations.isBusy;
  }

  /** The engine is lost, or back. */
  reachEngine(isReachable: boolean): void {
    this.#engineError = isReachable ? '' : 'no engine';
    if (isReachable) this.supervisor.retry();
    else this.supervisor.wake();
  }

  /** Time passes. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.supervisor.wake();
  }

  /** Changes a container behind the back of the service. */
  change(id: string, changes: Partial<Container>): void {
    this.containers = this.containers.map((one) => (one.id === id ? { ...one, ...changes } : one));
    this.supervisor.wake();
  }

  /** Ends the process of a container with exit code 1, or because another client of the engine stops it. */
  end(id: string, killed = false): void {
    const startedAt = new Date(this.nowMs - 1);
    const finishedAt = new Date(this.nowMs);
    this.change(id, { killed, state: { kind: 'exited', exitCode: 1, startedAt, finishedAt } });
  }

  /** Ends the process of the service as SIGKILL does, and starts the next one. */
  async restart(): Promise<void> {
    const { pullWarning } = this.status;
    await this.#process.end();
    this.#process = this.#begin(pullWarning);
  }

  /** Resolves when a condition holds, which is looked at when the supervisor has nothing to do and has seen all failures. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const shown = () => `${what}: ${this.#shown}`;
    const isReached = async () => {
      const isSeen = this.#failing === 0;
      await this.#round();
      // the first one may have begun before a failure
      await this.#round();
      return isSeen && this.#failing === 0 && holds();
    };
    try {
      await until(waitMs, shown, isReached);
    } catch (error) {
      waitMs = shortMs;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.end();
  }

  async #round(): Promise<void> {
    const idle = this.supervisor.idle();
    this.supervisor.wake();
    await idle;
  }

  get #shown(): string {
    const { phase } = { ...this.#saved.update };
    return `${this.listed.join()}, ${JSON.stringify(phase)} after ${this.trace.slice(-30).join(', ')}`;
  }

  #begun(verb: Verb, to: string, change: Change, wait: boolean): Promise<Operation<unknown, void>> {
    const { kinds, operations } = this.#process;
    const request = { id: name, wait, requestId: 'r' };
    return verb === 'update'
      ? operations.begin(kinds.update, { ...request, args: { source: moduleSource(name, to) } })
      : operations.begin(kinds[verb], { ...request, args: change });
  }

  #runs() {
    return { kind: 'running', startedAt: new Date(this.nowMs) } as const;
  }

  #container(id: string, image: string): Container {
    const flags = { ours: true, restartCount: 0, autoRestarts: false, unhealthy: false };
    return { id, name, image, digest: image, ...flags, state: { kind: 'created' } };
  }

  /** As `did`, when the engine responds. */
  async #responded(call: string, effect: () => void, signal: AbortSignal): Promise<void> {
    const response = this.hanging.get(call);
    if (response === undefined) return this.#did(call, effect);
    this.trace.push(call);
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.trace.push(`${call} aborted`);
        reject(new ServiceError('Cancelled', 'aborted'));
      };
      signal.addEventListener('abort', abort, { once: true });
      void response.then(resolve);
    });
    return this.#did(call, effect);
  }

  /** Does what a call does, unless it fails. */
  #did(call: string, effect: () => void): Promise<void> {
    if (this.#engineError !== '') {
      return Promise.reject(new EngineUnreachable('Unavailable', this.#engineError));
    }
    this.trace.push(call);
    const failure = this.failures.get(call) ?? this.failures.get(call.split(' ', 1)[0] ?? '');
    if (failure !== undefined) return this.#fail(failure);
    effect();
    const late = this.failuresAfter.get(call);
    return late === undefined ? Promise.resolve() : this.#fail(late);
  }

  /** Not at once: the time limits of a test that repeats it without end expire. */
  async #fail(failure: Error): Promise<void> {
    this.#failing++;
    await setImmediate();
    this.#failing--;
    throw failure;
  }

  #type(): ModuleType {
    const none = () => Promise.reject(new Error('not called'));
    const put = (id: string, changes: Partial<Container>) => () => this.change(id, changes);
    const { nowMs: startMs } = this;
    const exited = () => ({
      kind: 'exited' as const,
      exitCode: 0,
      startedAt: new Date(startMs),
      finishedAt: new Date(this.nowMs),
    });
    const named = () => this.containers.find((one) => one.name === name);
    const byId = (wanted: string | undefined) => this.containers.find(({ id }) => id === wanted);
    return {
      name: 'docker',
      version: none,
      list: none,
      inspect: none,
      find: async ({ parkedIds = [] }) => {
        // the time limits of a test expire even if the rounds never end
        await setImmediate();
        const others = this.containers.filter(({ id }) => !parkedIds.includes(id));
        const [renamed, ...more] = others;
        if (named() !== undefined || renamed === undefined || more.length > 0) {
          return named();
        }
        this.change(renamed.id, { name });
        return named();
      },
      findParked: async ({ id }) => {
        const found = byId(id);
        const call = `describe ${id}`;
        if (this.failures.has(call)) await this.#did(call, () => undefined);
        return found?.name === name ? undefined : found;
      },
      park: ({ id }) => this.#did(`park ${id}`, put(id, { name: `parked-${id}` })),
      unpark: ({ id }) => this.#did(`unpark ${id}`, put(id, { name })),
      keep: ({ id }) => this.#did(`keep ${id}`, () => (this.kept = byId(id)?.image)),
      release: (_name, signal) => this.#responded('release', () => (this.kept = undefined), signal),
      keptNames: none,
      stop: (id) => this.#did(`stop ${id}`, () => this.change(id, { state: exited() })),
      remove: (removed, signal) => {
        const remove = (): void => {
          this.containers = this.containers.filter(({ id }) => id !== removed);
        };
        return this.#responded(`remove ${removed}`, remove, signal);
      },
      unpause: none,
      disableAutoRestart: none,
      log: none,
      parkedLog: ({ id }, _request, signal) => {
        const text = this.printed.get(id);
        if (text === undefined) return Promise.reject(new ServiceError('NotFound', 'no log'));
        signal.throwIfAborted();
        const entry = { stream: 'stdout', time: '', text: Buffer.from(text) } as const;
        return Promise.resolve({ isTerminal: false, entries: Readable.from([[entry]]) });
      },
      watch: none,
      ping: none,
      appeared: none,
    };
  }

  #specOf(image: string): InstanceSpec {
    const create = (from: string) => () =>
      this.#did(`create ${from}`, () => {
        const made = { ...this.#container(`c${++this.#count}`, image), image: from };
        this.containers = [...this.containers, made];
      });
    return {
      digest: image,
      resolve: ({ isKept = false, refresh }) => {
        if (refresh && this.pullWarnings.has(image)) return Promise.resolve(undefined);
        const kept = isKept ? this.kept : undefined;
        return Promise.resolve({ create: create(kept ?? this.moved.get(image) ?? image) });
      },
      pull: async () => {
        await this.#did(`pull ${image}`, () => undefined);
        return this.pullWarnings.get(image) ?? '';
      },
      start: () =>
        this.#did('start', () => {
          const own = this.containers.find((one) => one.name === name);
          if (own !== undefined) this.change(own.id, { killed: false, state: this.#runs() });
        }),
    };
  }

  #begin(pullWarning = ''): Process {
    const now = () => new Date(this.nowMs);
    let isOver = false;
    const supervisor = new Supervisor({
      name,
      source: this.#source,
      saved: this.#saved,
      restartPolicy: 'always',
      type: this.#type(),
      engineStatus: () => ({
        name: 'docker',
        version: '',
        reachable: this.#engineError === '',
        steady: true,
        reachedAt,
        error: this.#engineError,
      }),
      prepare: async ({ settings }) => {
        await this.preparing;
        if (this.unprepared !== undefined) throw this.unprepared;
        return this.#specOf(settings.image);
      },
      save: (state, source) => {
        // a process that was killed writes nothing
        if (isOver) return Promise.resolve();
        this.#saved = state;
        this.#source = source;
        return Promise.resolve();
      },
      eraseIdentity: () => Promise.resolve(),
      remove: () => Promise.resolve(),
      onKept: () => this.onKept(),
      onStatus: () => undefined,
      trial: { runMs: trialMs, startMs },
      releaseMs: 20,
      restarted: { restartCount: 0, restartReason: '', pullWarning },
      now,
      monotonicMs: () => this.nowMs,
      log: silentLog,
    });
    const module = {
      name: moduleSource(name).name,
      supervisor,
      get source() {
        return supervisor.desired.source;
      },
      isVanishing: false,
    } as unknown as ManagedModule; // the parts that operations use
    const operations = new Operations({
      nameOf: (id) => id,
      onChange: () => supervisor.release(),
      log: silentLog,
    });
    const kinds = moduleOperations({
      require: () => module,
      find: () => module,
      claim: () => Promise.reject(new ServiceError('AlreadyExists', name)),
      claimUpdate: (update) => {
        const refuse = () => {
          if (this.refusal !== undefined) throw this.refusal;
        };
        return acceptUpdate(module, update, { config: { agent: undefined }, now, refuse });
      },
      fetch: () => Promise.resolve(),
      mayDelete: () => undefined,
      reclaimIdentity: () => undefined,
    });
    resumeOperation(operations, kinds, module);
    const stop = new AbortController();
    const run = supervisor.run(stop.signal);
    const end = async () => {
      isOver = true;
      const stopped = operations.stop();
      stop.abort();
      await run;
      await stopped;
    };
    return { supervisor, operations, kinds, end };
  }
}

interface Process {
  readonly supervisor: Supervisor;
  readonly operations: Operations;
  readonly kinds: ReturnType<typeof moduleOperations>;
  readonly end: () => Promise<void>;
}
