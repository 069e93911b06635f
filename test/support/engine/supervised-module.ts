/** A module with a supervisor and an engine of a single container, in memory. */
import { setImmediate } from 'node:timers/promises';
import { type ErrorCode, ServiceError } from '../../../src/errors.ts';
import { ContainerSpec } from '../../../src/modules/docker/container-spec.ts';
import { DockerModules } from '../../../src/modules/docker/docker-modules.ts';
import type { ContainerEngine } from '../../../src/modules/docker/engine/container-engine.ts';
import type {
  Goal,
  ModuleVerb,
  SavedState,
} from '../../../src/modules/supervisor/desired-state.ts';
import type { EngineStatus } from '../../../src/modules/supervisor/engine-monitor.ts';
import type { Instance, InstanceState } from '../../../src/modules/supervisor/module-type.ts';
import type { RestartPolicy } from '../../../src/modules/supervisor/restart/restart-policy.ts';
import { Supervisor } from '../../../src/modules/supervisor/supervisor.ts';
import { deadline, until } from '../deadline.ts';
import { codeIn } from '../failure.ts';
import { silentLog } from '../log.ts';
import { via } from '../via.ts';
import { moduleSource } from './module-source.ts';

export const longMs = 20_000;
export const startedAt = new Date(0);
export const running: InstanceState = { kind: 'running', startedAt };

/** The module, its container and its engine. */
export interface Setting {
  readonly goal?: Goal;
  readonly state?: InstanceState | undefined;
  readonly container?: Partial<Instance>;
  readonly policy?: RestartPolicy;
  readonly engineRanSince?: Date;
  readonly refusal?: ServiceError;
  /** The failures of each call of the engine, one after the other. */
  readonly failures?: Readonly<Record<string, (ErrorCode | ServiceError)[]>>;
  readonly hasImage?: boolean;
  readonly imagePullPolicy?: 'never' | 'on-create';
  /** A call that does not return before the promise resolves. */
  readonly held?: { readonly call: string; readonly until: Promise<void> };
  /** The failure of its creation by a previous process. */
  readonly failure?: string;
  /** The state in which a start leaves it. */
  readonly started?: InstanceState;
}

/** A promise that is pending until it is opened. */
export function gate() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A module with a supervisor, a trace of its calls, and a clock. */
export function moduleWith({
  goal = 'started',
  state,
  container = {},
  policy = 'always',
  engineRanSince,
  refusal,
  failures = {},
  hasImage = true,
  imagePullPolicy = 'never',
  failure,
  held,
  started = running,
}: Setting) {
  const trace: string[] = [];
  const states: string[] = [];
  const publications = { count: 0 };
  const hooks = { inspect: (): void => undefined };
  const clock = { ms: 1_000 };
  const stop = new AbortController();
  const status = { error: '', reachedAt: startedAt };
  let images = hasImage;
  let made: Instance | undefined;
  const put = (changed: InstanceState, changes: Partial<Instance> = {}): void => {
    const plain = { id: 'c1', ours: true, digest: 'new', restartCount: 0 };
    const flags = { autoRestarts: false, unhealthy: false };
    made = { ...plain, ...flags, ...changes, state: changed };
  };
  if (state !== undefined) put(state, container);
  const did = async (call: string, effect: () => void = () => {}): Promise<void> => {
    trace.push(call);
    const failure = failures[call.split(' ', 1)[0] ?? '']?.shift();
    if (failure instanceof ServiceError) throw failure;
    if (failure !== undefined) throw new ServiceError(failure, `no ${call}`);
    await (held?.call === call ? held.until : undefined);
    effect();
  };
  const none = () => Promise.reject(new Error('not called'));
  const end = { exitCode: 137, startedAt, finishedAt: new Date(1) };
  const engine: ContainerEngine = {
    version: none,
    system: none,
    findImage: () => Promise.resolve(images ? { id: 'sha256:1', digests: [] } : undefined),
    pull: () => did('pull', () => (images = true)),
    tagImageOf: none,
    untag: none,
    tagsIn: none,
    findParked: () => Promise.resolve(undefined),
    ensureNetwork: ({ name }) => did(`network ${name}`),
    findVolume: none,
    createVolume: none,
    list: none,
    inspect: () => {
      hooks.inspect();
      return Promise.resolve(made);
    },
    findRenamed: () => Promise.resolve(undefined),
    rename: none,
    create: (name) =>
      did(`create ${name}`, () => {
        if (made !== undefined) throw new ServiceError('AlreadyExists', 'the name is taken');
        put({ kind: 'created' });
      }),
    start: (name) => did(`start ${name}`, () => put(started)),
    stop: (id, timeoutS) =>
      did(`stop ${id} ${timeoutS}`, () =>
        put({ kind: 'exited', ...end }, { digest: made?.digest ?? '' }),
      ),
    remove: (id) => did(`remove ${id}`, () => (made = undefined)),
    unpause: (id) => did(`unpause ${id}`, () => put(running)),
    removeRestartPolicy: none,
    log: none,
    listen: none,
    ping: none,
    appeared: none,
  };
  const spec = new ContainerSpec({
    engine,
    digest: 'new',
    image: { image: 'a', auth: undefined, imagePullPolicy },
    body: {},
    network: { name: 'edge' },
    check: () => did('check'),
  });
  const supervisor = new Supervisor({
    name: 'sensor',
    source: moduleSource('sensor'),
    saved: { goal, failure },
    restartPolicy: policy,
    engineRanSince: () => engineRanSince,
    type: new DockerModules(engine, silentLog),
    engineStatus: (): EngineStatus => ({
      name: 'docker',
      version: '',
      reachable: status.error === '',
      steady: true,
      ...status,
    }),
    prepare: () => Promise.resolve(refusal === undefined ? spec : { refusal }),
    save: (saved: SavedState) => did(`save ${saved.goal}`),
    eraseIdentity: () => did('erase'),
    remove: () => did('forget'),
    onStatus: (status) => {
      publications.count++;
      if (states.at(-1) !== status.state) states.push(status.state);
    },
    now: () => new Date(clock.ms),
    log: silentLog,
  });
  const ended = supervisor.run(stop.signal);
  return {
    supervisor,
    trace,
    states,
    publications,
    hooks,
    clock,
    status,
    ended,
    put: (changed: InstanceState, changes: Partial<Instance> = {}) => {
      put(changed, changes);
      supervisor.wake();
    },
    /** Another process removes the container. */
    lose: () => {
      made = undefined;
      supervisor.wake();
    },
    /** Resolves to the trace once it contains the call. */
    async until(call: string): Promise<readonly string[]> {
      await until(
        longMs,
        () => `${call} after ${trace.join(', ')}`,
        () => trace.includes(call),
      );
      return trace;
    },
    /** Resolves when the supervisor is idle. */
    async rested(): Promise<void> {
      const rest = supervisor.idle();
      supervisor.wake();
      await deadline(longMs, rest, 'a rest');
      await setImmediate(); // another round, if this one was woken in the middle
    },
    async operate(
      verb: ModuleVerb,
      to: Goal,
      stopTimeoutS?: number,
      { isUndone = false, signal = via.signal } = {},
    ): Promise<string> {
      await supervisor.desired.accept(to, { verb, stopTimeoutS });
      const reached = supervisor.reach(
        {
          until: verb === 'Stop' ? 'stopped' : undefined,
          stopTimeoutS,
          isCreation: verb === 'CreateModule',
          requestId: 'r',
          isPatient: () => false,
          isUndone: () => isUndone,
        },
        signal,
      );
      try {
        await deadline(longMs, reached, verb);
        return 'reached';
      } catch (error) {
        return codeIn(error);
      } finally {
        supervisor.release();
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await deadline(longMs, ended, 'the end');
    },
  };
}
