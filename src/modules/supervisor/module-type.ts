/**
 * A type of modules, such as containers of an engine. A supervisor reconciles instances of a specification that the type
 * prepared from the configuration of a module. Only the type knows their parts: images, networks, mounts.
 */
import { ServiceError } from '../../errors.ts';

/** The state of an instance, as its type reports it. */
export type InstanceState =
  | { readonly kind: 'created' }
  | { readonly kind: 'running'; readonly startedAt: Date }
  | { readonly kind: 'paused'; readonly startedAt: Date }
  | ({ readonly kind: 'restarting' } & LastRun)
  | ({ readonly kind: 'exited' } & LastRun)
  | { readonly kind: 'removing' }
  | { readonly kind: 'dead' }
  | { readonly kind: 'unknown' };

/** How the last run of an instance ended. */
export interface LastRun {
  readonly exitCode: number;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

/** The control groups of a process: its paths in the hierarchies that managers of services use, if they are mounted. */
export interface Cgroup {
  /** In the hierarchy of version 2. */
  readonly unified: string | undefined;
  /** In the hierarchy `name=systemd` of version 1. */
  readonly systemd: string | undefined;
}

/** The control groups of an instance that runs. */
export interface InstanceCgroups {
  /** Of its main process. */
  readonly main: Cgroup;
  /** Of the process that started it, which is of its type and not of the module. */
  readonly parent: Cgroup;
}

/** An instance that has the name of a module. */
export interface Instance {
  readonly id: string;
  /** Whether this service created it for the module: others are never changed. */
  readonly ours: boolean;
  /** Digest of the specification that it was created from, `` when unknown. */
  readonly digest: string;
  /** The id of the image that it was created from. */
  readonly imageId?: string;
  readonly state: InstanceState;
  /** How often its type restarted it without the supervisor. */
  readonly restartCount: number;
  /** Whether its type would restart it without the checks that precede a start. */
  readonly autoRestarts: boolean;
  /** Whether it runs and its health check fails. */
  readonly unhealthy: boolean;
  /** Whether another client of its type ended it, or asked it to end: its end is no failure then. */
  readonly killed?: boolean;
  /** Of its processes; undefined when none runs, or they are out of sight. */
  readonly cgroups?: InstanceCgroups | undefined;
  /** Of an agent: the directory of all sockets of the service that made it. */
  readonly agentSockets?: string | undefined;
  /** How another client changed it; absent when none did. */
  readonly drift?: InstanceDrift;
  /** The result of its health check while it runs; undefined without one. */
  readonly health?: 'starting' | 'healthy' | 'unhealthy' | undefined;
}

/** A change of an instance that this service did not make. */
export interface InstanceDrift {
  /** In the engine's words. */
  readonly changed: readonly string[];
  /** When it is to be replaced; undefined when it is now, and has no digest then. */
  readonly repairAt: Date | undefined;
}

/** The failure of a start of an instance that can only be removed and created again, such as after a power cut. */
export class DamagedInstance extends ServiceError {}

/** The failure of a request, other than a pull, for which the engine's disk has too little space. */
export class DiskFull extends ServiceError {}

/** The failure of a request that the engine did not answer: whether it was carried out is unknown. */
export class EngineUnreachable extends ServiceError {}

/** The failure of a pull, whatever its code: a repeated request may succeed. */
export class PullFailure extends ServiceError {}

/** Progress of a pull: 0 to 1, and a text for people. */
export interface PullProgress {
  readonly fraction: number;
  readonly text: string;
}

/** How a specification finds what was pulled for it. */
export interface ResolveOptions {
  readonly refresh: boolean;
  readonly isKept?: boolean;
}

/** The specification of an instance, prepared by its type. */
export interface InstanceSpec {
  readonly refusal?: undefined;
  /** Identifies the specification: an instance with another digest is replaced. */
  readonly digest: string;
  /**
   * The specification with what was pulled for it, undefined when that is missing. With `refresh`, what may have
   * changed at its origin counts as missing. With `isKept`, what `ModuleType.keep` keeps for the module goes before that:
   * since an update, the same reference may name something else.
   */
  resolve(options: ResolveOptions, signal: AbortSignal): Promise<ResolvedSpec | undefined>;
  /**
   * Pulls what an instance needs; returns a warning for the user, `` for none. NotFound when a pull is forbidden,
   * InvalidArgs when what was pulled is not what is demanded.
   */
  pull(onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<string>;
  /**
   * Starts the instance of that name; AccessDenied when it may not run any more, `DamagedInstance` when it cannot be
   * started any more.
   */
  start(name: string, signal: AbortSignal): Promise<void>;
}

/** A specification together with what was pulled for it. */
export interface ResolvedSpec {
  /** Creates an instance; AlreadyExists when the name is taken, AccessDenied when it may not be created any more. */
  create(name: string, signal: AbortSignal): Promise<void>;
}

/** Why a module may not run at present, even if it is running. */
export interface Refused {
  readonly refusal: ServiceError;
}

/** Selects the instance of a module. */
export interface InstanceQuery {
  readonly name: string;
  /** The id of its last known instance. */
  readonly knownId: string | undefined;
  /** The ids of its parked instances, which are not the one that is found. */
  readonly parkedIds?: readonly string[];
}

/** Selects an instance that is or was parked. */
export interface ParkedQuery {
  readonly id: string;
  /** Of its module. */
  readonly name: string;
}

/** Selects lines of a log; times in nanoseconds since the epoch. */
export interface LogRequest {
  /** How many of the last lines, undefined for all. */
  readonly tail?: number | undefined;
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  /** Also the lines to come, until the instance ends. */
  readonly follow?: boolean;
}

/** A line of a log, or a part of a long one. */
export interface LogEntry {
  readonly stream: 'stdout' | 'stderr';
  /** When it was printed, in the form of RFC 3339 with nanoseconds; `` when unknown. */
  readonly time: string;
  /** With its line feed, if any. */
  readonly text: Buffer;
}

/** The log of an instance. */
export interface ModuleLog {
  /** Whether both streams are one, as of a terminal. */
  readonly isTerminal: boolean;
  /** What is not taken from it is not read from the engine. Its signal must be aborted unless it is read to its end. */
  readonly entries: AsyncIterable<readonly LogEntry[]>;
}

/** The end of an instance, as the engine reports it at once. */
export interface InstanceEnd {
  readonly name: string;
  readonly id: string;
  readonly exitCode: number;
  /** When it was reported, undefined when the engine does not say. */
  readonly at: Date | undefined;
}

/** Name and version of the engine that runs the instances. */
export interface EngineVersion {
  readonly name: string;
  readonly version: string;
}

/**
 * A type of modules. Operations throw NotFound for a missing instance, InvalidArgs for what the engine refuses,
 * Unavailable when it is unreachable or cannot do it now, and Cancelled when the signal aborts. Stopping a stopped
 * instance, starting a running one and removing a missing one succeed.
 */
export interface ModuleType {
  /** The `Type` of its modules. */
  readonly name: string;
  version(signal: AbortSignal): Promise<EngineVersion>;
  /** The names of all instances that this service created. */
  list(signal: AbortSignal): Promise<readonly string[]>;
  /** The instance of exactly that name, undefined when there is none. */
  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined>;
  /** As `inspect`; an instance of the module that was renamed gets its name back. */
  find(query: InstanceQuery, signal: AbortSignal): Promise<Instance | undefined>;
  /** The instance of that id while another name than that of the module is its own. */
  findParked(query: ParkedQuery, signal: AbortSignal): Promise<Instance | undefined>;
  /**
   * Gives the instance of a module another name, which no module can have; AlreadyExists when that is taken. A parked
   * instance is listed, but it is not found by the name of its module.
   */
  park(query: ParkedQuery, signal: AbortSignal): Promise<void>;
  /** Gives a parked instance the name of its module; AlreadyExists when that is taken. */
  unpark(query: ParkedQuery, signal: AbortSignal): Promise<void>;
  /**
   * Keeps what the instance needs to be started, such as its image, until `release`: a pull or a clean-up must not remove
   * it. Succeeds when there is nothing that can be kept.
   */
  keep(query: ParkedQuery, signal: AbortSignal): Promise<void>;
  /** Keeps nothing for the module of that name any more. */
  release(name: string, signal: AbortSignal): Promise<void>;
  /** The names of the modules for which something is kept. */
  keptNames(signal: AbortSignal): Promise<readonly string[]>;
  /** Asks the instance to end and kills it after `timeoutS`; undefined leaves that to the engine. */
  stop(id: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void>;
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** Continues an instance that is paused. */
  unpause(id: string, signal: AbortSignal): Promise<void>;
  /** Removes the engine's own restart policy of an instance; a running one keeps running. */
  disableAutoRestart(id: string, signal: AbortSignal): Promise<void>;
  /**
   * The log of an instance; NotSupported when it is kept nowhere. What the engine cannot read of it, because its file is
   * damaged, is replaced by an entry that says so.
   */
  log(name: string, request: LogRequest, signal: AbortSignal): Promise<ModuleLog>;
  /** As `log`, of an instance that is parked. */
  parkedLog(query: ParkedQuery, request: LogRequest, signal: AbortSignal): Promise<ModuleLog>;
  /**
   * Resolves when the engine reports events, to the name of each module of which an instance changes from then on. The loss of
   * the engine ends the iteration with Unavailable. Earlier events are not replayed: inspect everything first. Ends are
   * passed on before their names: an instance that has just ended may take long to be inspected.
   */
  watch(signal: AbortSignal, onEnd?: (end: InstanceEnd) => void): Promise<AsyncIterable<string>>;
  /** Resolves when the engine responds, with whatever it says; rejects with EngineUnreachable when it does not. */
  ping(signal: AbortSignal): Promise<void>;
  /** Resolves when an unreachable engine may have been installed or started; rejects when that cannot be watched. */
  appeared(signal: AbortSignal): Promise<void>;
}
