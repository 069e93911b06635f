import type { ServiceError } from '../../errors.ts';
import type { Handlers, NameParsers, Resolvers, ServiceDefinition } from '../definition.ts';
import type { AuthorizationRequest, Authorizer } from './authorization-gate.ts';
import type { CallContext } from './call.ts';
import type { Caller, Callers } from './caller.ts';
import type { CallLimits } from './limits/call-limits.ts';
import type { LogControl } from './log-control.ts';

/** What calls are served with, as far as it follows from a configuration. */
export interface ServingOptions<
  S extends ServiceDefinition,
  Names extends NameParsers = NameParsers,
> {
  readonly handlers: Omit<Handlers<S['manager'], CallContext, Names>, 'Describe'>;
  readonly resolvers: Resolvers<S['manager'], CallContext, Names>;
  readonly authorizer: Authorizer;
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** The same for any service: the tables type handlers one by one, the dispatcher calls them by name. */
export interface AnyServingOptions
  extends Pick<ServingOptions<ServiceDefinition>, 'authorizer' | 'describeMore'> {
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly resolvers: Readonly<Record<string, unknown>>;
}

/** Is notified of what happens, for the journal. None of these may throw. */
export interface ServeObserver {
  /** A call that wants no reply will not be performed: its caller left before its turn. */
  onLostCall?(message: string, caller: Caller | undefined): void;
  /** A call of a method of the service is about to be authorized, or is public. */
  onCall?(call: CallContext): void;
  onDecision(call: CallContext, request: AuthorizationRequest, error: unknown): void;
  /** A call was answered with an error; whatever is not a ServiceError went out as `internal error`. */
  onFailure(call: CallContext | undefined, message: string, error: unknown): void;
  /** A handler failed with a code that the table does not list for its method. */
  onUndeclared?(call: CallContext, error: ServiceError): void;
}

/** What a service is served with. `Describe` is answered here. */
export interface ServeOptions<S extends ServiceDefinition, Names extends NameParsers = NameParsers>
  extends ServingOptions<S, Names> {
  readonly callers: Callers;
  readonly names: Names;
  readonly logControl: LogControl;
  readonly observer: ServeObserver;
  /** Beside root: whose `request_id` is taken over, and whose calls have the larger limits. */
  readonly trustedUids?: ReadonlySet<number>;
  readonly limits?: CallLimits;
}
