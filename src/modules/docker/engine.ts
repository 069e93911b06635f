/** A create request or an engine's answer as JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What a container does, as the engine tells it. */
export type ContainerState =
  | { readonly kind: 'created' }
  | { readonly kind: 'running'; readonly startedAt: Date }
  | { readonly kind: 'paused'; readonly startedAt: Date }
  | ({ readonly kind: 'restarting' } & Finished)
  | ({ readonly kind: 'exited' } & Finished)
  | { readonly kind: 'removing' }
  | { readonly kind: 'dead' }
  | { readonly kind: 'unknown' };

/** How the last run of a container ended. */
export interface Finished {
  readonly exitCode: number;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

/** A container that stands under the name of a module. */
export interface Container {
  readonly id: string;
  /** Whether it carries our owner label: another's container is never touched. */
  readonly ours: boolean;
  /** Digest of the configuration that it was made from, `` when it does not say. */
  readonly digest: string;
  readonly state: ContainerState;
  /** How often the engine itself has started it again. */
  readonly restartCount: number;
  /** Whether the engine would start it by itself, when nobody has looked at what it mounts. */
  readonly engineRestarts: boolean;
  /** Whether it runs and its health check fails. */
  readonly unhealthy: boolean;
}

/** What a module's container is known by beside its name. */
export interface MadeFor {
  readonly name: string;
  readonly knownId: string | undefined;
}

/** A container under another name than its module's. */
export interface Renamed {
  readonly id: string;
  readonly name: string;
}

/** What the engine says about itself. */
export interface EngineVersion {
  readonly name: string;
  readonly version: string;
}

/** What the engine says about the machine. */
export interface EngineSystem {
  readonly osType: string;
  readonly architecture: string;
  readonly serverVersion: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly cpus: number;
  readonly totalMemoryBytes: number;
  /** Where it keeps containers and volumes, `` when it does not say. */
  readonly rootDirectory: string;
}

/** Credentials for a registry. Never logged, never answered. */
export interface RegistryAuth {
  readonly serveraddress?: string;
  readonly username?: string;
  readonly password?: string;
  readonly email?: string;
}

/** How far a pull has come: 0 to 1, and a word for people. */
export interface PullProgress {
  readonly fraction: number;
  readonly text: string;
}

/** An image that the engine has. */
export interface Image {
  readonly id: string;
  /** What registries call it: `sha256:…`, none when no registry has it. */
  readonly digests: readonly string[];
}

/** What `pull` needs besides the reference. */
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
  /** Its directory on the host, `` when the engine does not say. */
  readonly mountpoint: string;
}

/** A volume to be made, by the engine's own driver and without options. */
export interface NewVolume {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Which lines of a log; times in microseconds since the epoch. */
export interface LogRequest {
  /** How many of the last lines, undefined for all. */
  readonly tail?: number | undefined;
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  readonly timestamps?: boolean;
  /** When the log is longer, the newest lines that fit. */
  readonly maxBytes: number;
}

/**
 * A container engine. Every operation answers NotFound for what is not there, InvalidArgs for what the
 * engine refuses, Unavailable when the engine cannot be reached or cannot do it now, and Cancelled when
 * the signal says so. Stopping a stopped container, starting a running one and removing an absent one
 * are successes.
 */
export interface ContainerEngine {
  version(signal: AbortSignal): Promise<EngineVersion>;
  system(signal: AbortSignal): Promise<EngineSystem>;
  /** Undefined when the engine does not have it. */
  findImage(reference: string, signal: AbortSignal): Promise<Image | undefined>;
  pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void>;
  ensureNetwork(network: Network, signal: AbortSignal): Promise<void>;
  /** The volume of just that name, undefined when there is none. */
  findVolume(name: string, signal: AbortSignal): Promise<Volume | undefined>;
  /** Makes a volume; one that is there already stays as it is, which is a success too. */
  createVolume(volume: NewVolume, signal: AbortSignal): Promise<void>;
  /** The names of all containers that carry our owner label. */
  list(signal: AbortSignal): Promise<readonly string[]>;
  /** The container of just that name, undefined when there is none. */
  inspect(name: string, signal: AbortSignal): Promise<Container | undefined>;
  /**
   * The container of ours that was made for a module and has another name now, or that is known by its id; undefined when
   * there is not exactly one.
   */
  findRenamed(module: MadeFor, signal: AbortSignal): Promise<Renamed | undefined>;
  /** Gives a container another name; AlreadyExists when it is taken. */
  rename(id: string, name: string, signal: AbortSignal): Promise<void>;
  /** Makes a container; AlreadyExists when the name is taken. */
  create(name: string, body: JsonObject, signal: AbortSignal): Promise<void>;
  start(name: string, signal: AbortSignal): Promise<void>;
  /** Asks the container to end and kills it after `timeoutS`; undefined leaves that to the engine. */
  stop(nameOrId: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void>;
  remove(nameOrId: string, signal: AbortSignal): Promise<void>;
  /** Takes a container's restart policy away; a running one goes on running. */
  keepStopped(nameOrId: string, signal: AbortSignal): Promise<void>;
  logs(name: string, request: LogRequest, signal: AbortSignal): Promise<Buffer>;
  /**
   * Resolves when the engine is being listened to, to the name of each of our containers to which
   * something happens from then on. The engine going away ends the iteration with Unavailable. Nothing is
   * replayed: whoever listens looks at everything first.
   */
  listen(signal: AbortSignal): Promise<AsyncIterable<string>>;
}
