import type {
  EngineVersion,
  Instance,
  InstanceEnd,
  InstanceQuery,
  LogRequest,
  ModuleLog,
  ParkedQuery,
  PullProgress,
} from '../../supervisor/module-type.ts';

/** A create request or an engine's response as JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A container whose name is not that of its module. */
export interface Renamed {
  readonly id: string;
  readonly name: string;
}

/** The engine's description of the machine. */
export interface EngineSystem {
  readonly osType: string;
  readonly architecture: string;
  readonly serverVersion: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly cpus: number;
  readonly totalMemoryBytes: number;
  /** Where it stores containers and volumes, `` when it does not report that. */
  readonly rootDirectory: string;
  /** The log driver of containers that name none, `` when it does not report that. */
  readonly logDriver: string;
}

/** Credentials for a registry. Never logged, never returned. */
export interface RegistryAuth {
  readonly serveraddress?: string;
  readonly username?: string;
  readonly password?: string;
  readonly email?: string;
}

/** An image that the engine has. */
export interface Image {
  readonly id: string;
  /** Its digests at registries, `sha256:…`; none when it was never pushed or pulled. */
  readonly digests: readonly string[];
}

/** A name for an image. */
export interface ImageTag {
  readonly repository: string;
  readonly tag: string;
}

/** Options of a pull. */
export interface PullOptions {
  readonly auth?: RegistryAuth | undefined;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** A container network that modules join. */
export interface Network {
  readonly name: string;
  readonly ipv6?: boolean;
  readonly ipam?: JsonObject;
}

/** A named volume of the engine. */
export interface Volume {
  readonly name: string;
  readonly driver: string;
  readonly options: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  /** Its directory on the host, `` when the engine does not report it. */
  readonly mountpoint: string;
}

/** A volume to create with the engine's own driver and without options. */
export interface NewVolume {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A container engine. Operations throw NotFound for a missing object, InvalidArgs for what the engine refuses,
 * Unavailable when it is unreachable or cannot do it now, and Cancelled when the signal aborts. Stopping a stopped
 * container, starting a running one and removing a missing one succeed.
 */
export interface ContainerEngine {
  version(signal: AbortSignal): Promise<EngineVersion>;
  system(signal: AbortSignal): Promise<EngineSystem>;
  /** Undefined when the image is missing. */
  findImage(reference: string, signal: AbortSignal): Promise<Image | undefined>;
  pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void>;
  /** Tags the image of a container; NotFound when the engine has no record of it any more. */
  tagImageOf(id: string, tag: ImageTag, signal: AbortSignal): Promise<void>;
  /** Removes a tag, and the image when no other tag and no container needs it; succeeds when there is none. */
  untag(tag: ImageTag, signal: AbortSignal): Promise<void>;
  /** The tags of a repository. */
  tagsIn(repository: string, signal: AbortSignal): Promise<readonly string[]>;
  ensureNetwork(network: Network, signal: AbortSignal): Promise<void>;
  /** The volume of exactly that name, undefined when there is none. */
  findVolume(name: string, signal: AbortSignal): Promise<Volume | undefined>;
  /** Creates a volume; succeeds with an existing one, which stays as it is. */
  createVolume(volume: NewVolume, signal: AbortSignal): Promise<void>;
  /** The names of all containers that carry our labels. */
  list(signal: AbortSignal): Promise<readonly string[]>;
  /** The container of exactly that name, undefined when there is none. */
  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined>;
  /**
   * The container of ours that was created for a module and has another name now, or that has the known id; undefined
   * when there is not exactly one.
   */
  findRenamed(query: InstanceQuery, signal: AbortSignal): Promise<Renamed | undefined>;
  /** The container of that id, undefined when it has the name of the module. */
  findParked(query: ParkedQuery, signal: AbortSignal): Promise<Instance | undefined>;
  /** AlreadyExists when the name is taken. */
  rename(id: string, name: string, signal: AbortSignal): Promise<void>;
  /** Creates a container; AlreadyExists when the name is taken. */
  create(name: string, body: JsonObject, signal: AbortSignal): Promise<void>;
  start(name: string, signal: AbortSignal): Promise<void>;
  /** Asks the container to end and kills it after `timeoutS`; undefined leaves that to the engine. */
  stop(nameOrId: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void>;
  remove(nameOrId: string, signal: AbortSignal): Promise<void>;
  unpause(nameOrId: string, signal: AbortSignal): Promise<void>;
  /** Removes the restart policy of a container; a running one keeps running. */
  removeRestartPolicy(nameOrId: string, signal: AbortSignal): Promise<void>;
  /** See `ModuleType`. */
  log(name: string, request: LogRequest, signal: AbortSignal): Promise<ModuleLog>;
  /**
   * Resolves when the engine reports events, to the name of each of our containers that changes from then on. The loss
   * of the engine ends the iteration with Unavailable. Earlier events are not replayed: inspect everything first. Ends
   * are passed on before the names.
   */
  listen(signal: AbortSignal, onEnd?: (end: InstanceEnd) => void): Promise<AsyncIterable<string>>;
  /** Resolves when the engine responds, also with an error; rejects with EngineUnreachable when it does not. */
  ping(signal: AbortSignal): Promise<void>;
  /** Resolves when the engine's socket may have been created; rejects when that cannot be watched. */
  appeared(signal: AbortSignal): Promise<void>;
}
