/** What a service is to the process that runs it: how it starts, what it serves, and its hooks. */
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { ServingOptions } from '../dbus/server/serve-options.ts';
import type { nameParsers } from '../ids.ts';
import type { Cleanup } from './cleanup.ts';
import type { CommonConfig } from './config/common-config.ts';
import type { Log } from './log/log.ts';

/** What a service is given to start with. */
export interface StartContext<S extends ServiceDefinition, C> {
  readonly bus: Bus;
  /** The objects on the bus; when the start is over, every property of the manager has a value. */
  readonly objects: ObjectManager<S>;
  readonly config: C;
  /** Exists, and only the service's user can enter it. */
  readonly stateDir: string;
  readonly log: Log;
  /** Aborted when the service stops: while it starts at once, later after the last call was answered. */
  readonly signal: AbortSignal;
  /** Undone after that. */
  readonly cleanup: Cleanup;
  readonly now: () => Date;
  readonly startedAt: Date;
  readonly version: string;
}

/** The methods and properties that the dispatcher calls. */
export interface Implementation<S extends ServiceDefinition> {
  readonly handlers: ServingOptions<S, typeof nameParsers>['handlers'];
  readonly resolvers: ServingOptions<S, typeof nameParsers>['resolvers'];
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** What calls are answered with from now on, as far as another configuration changes it. */
export interface Reloaded<S extends ServiceDefinition> extends Partial<Implementation<S>> {
  /** Called when the last call has ended that began under the configuration before. */
  readonly retire?: () => Promise<void> | void;
}

/** A service that has started: its implementation, its hooks, and when it may end. */
export interface StartedService<S extends ServiceDefinition, C = CommonConfig>
  extends Implementation<S> {
  /** Puts another configuration in force; a rejection leaves the one before as it was. */
  readonly reload?: (config: C) => Promise<Reloaded<S>>;
  /**
   * Resolves when what the properties show holds, as far as that is for a neighbour or an engine to say. The name waits
   * for it a second; what is found out later is announced.
   */
  readonly ready?: () => Promise<void>;
  /** Called once the service has its name. */
  readonly onNameAcquired?: () => void;
  /** Whether an operation is unfinished that no call waits for. */
  readonly isBusy?: () => boolean;
  /** When something has to be done next. */
  readonly due?: () => Date | undefined;
}

/** One of the services, as its `main.ts` states it. */
export interface ServiceProgram<S extends ServiceDefinition, C extends CommonConfig> {
  readonly service: S;
  readonly start: (context: StartContext<S, C>) => Promise<StartedService<S, C>>;
  /** False for a service that never ends by itself. */
  readonly idleExit?: boolean;
  /** The settings that need a restart to change, each with its value; where state is kept is one anyway. */
  readonly fixedSettings?: (config: C) => Readonly<Record<string, unknown>>;
}
