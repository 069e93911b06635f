/** Interface between a service and the process that runs it: how it starts, what it serves, and its hooks. */
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { ServingOptions } from '../dbus/server/serve-options.ts';
import type { nameParsers } from '../ids.ts';
import type { Cleanup } from './cleanup.ts';
import type { CommonConfig } from './config/common-config.ts';
import type { Log } from './log/log.ts';
import type { Sandbox } from './systemd/sandbox.ts';
import type { SystemdSockets } from './systemd/sockets.ts';

/** Everything that a service starts with. */
export interface StartContext<S extends ServiceDefinition, C> {
  readonly bus: Bus;
  /** The objects on the bus; when the start is over, every property of the manager has a value. */
  readonly objects: ObjectManager<S>;
  readonly config: C;
  /** Exists and is accessible to the service's user only. */
  readonly stateDir: string;
  /** The first runtime directory of the unit; undefined without systemd. */
  readonly runtimeDir?: string | undefined;
  readonly log: Log;
  /** Aborted when the service stops: immediately while it starts, later after the reply to the last call. */
  readonly signal: AbortSignal;
  /** Runs after that. */
  readonly cleanup: Cleanup;
  readonly now: () => Date;
  readonly startedAt: Date;
  readonly version: string;
  /** Sockets that systemd passed; closed after the start unless taken. */
  readonly sockets: SystemdSockets;
}

/** The methods and properties that the dispatcher calls. */
export interface Implementation<S extends ServiceDefinition> {
  readonly handlers: ServingOptions<S, typeof nameParsers>['handlers'];
  readonly resolvers: ServingOptions<S, typeof nameParsers>['resolvers'];
  /** Additional content of `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** The parts of an implementation that another configuration changes. */
export interface Reloaded<S extends ServiceDefinition> extends Partial<Implementation<S>> {
  /** Called when the last call that began under the previous configuration has ended. */
  readonly retire?: () => Promise<void> | void;
}

/** A service that has started: its implementation, its hooks, and when it may exit. */
export interface StartedService<S extends ServiceDefinition, C = CommonConfig>
  extends Implementation<S> {
  /** Applies another configuration; a rejection leaves the previous one unchanged. */
  readonly reload?: (config: C) => Promise<Reloaded<S>>;
  /**
   * Resolves when the properties are up to date as far as they depend on another service or an engine. The name is
   * requested after a second at the latest; later changes are announced.
   */
  readonly ready?: () => Promise<void>;
  /** Called once the service owns its name. */
  readonly onNameAcquired?: () => void;
  /** Whether an operation without a waiting call is unfinished. */
  readonly isBusy?: () => boolean;
  /** Called when the service stops and calls did not end in time: what they wait for must fail now, with its reason. */
  readonly onOverdue?: () => void;
  /** When the next scheduled task is due. */
  readonly due?: () => Date | undefined;
}

/** One of the services, as its `main.ts` defines it. */
export interface ServiceProgram<S extends ServiceDefinition, C extends CommonConfig> {
  readonly service: S;
  readonly start: (context: StartContext<S, C>) => Promise<StartedService<S, C>>;
  /** False for a service that never exits when idle. */
  readonly idleExit?: boolean;
  /** The parts of the sandbox that its unit leaves out. */
  readonly unconfined?: readonly (keyof Sandbox)[];
  /** The settings that need a restart to change, with their values; the state directory always does. */
  readonly fixedSettings?: (config: C) => Readonly<Record<string, unknown>>;
}
