import type { ServiceError } from '../../errors.ts';
import type { Handlers, NameParsers, Resolvers, ServiceDefinition } from '../definition.ts';
import type { AuthorizationRequest, Authorizer } from './authorization-gate.ts';
import type { CallContext } from './call.ts';
import type { Caller, Callers } from './caller.ts';
import type { CallLimits } from './limits/call-limits.ts';
import type { LogControl } from './log-control.ts';

/** The options of a server that depend on the configuration. */
export interface ServingOptions<
  S extends ServiceDefinition,
  Names extends NameParsers = NameParsers,
> {
  readonly handlers: Omit<Handlers<S['manager'], CallContext, Names>, 'Describe'>;
  readonly resolvers: Resolvers<S['manager'], CallContext, Names>;
  readonly authorizer: Authorizer;
  /** Additional fields for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** ServingOptions of any service: the tables type handlers one by one, the dispatcher calls them by name. */
export interface AnyServingOptions
  extends Pick<ServingOptions<ServiceDefinition>, 'authorizer' | 'describeMore'> {
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly resolvers: Readonly<Record<string, unknown>>;
}

/** Is notified of calls and failures, for the journal. None of these may throw. */
export interface ServeObserver {
  /** A queued call that wants no reply was dropped, because its caller left. */
  onLostCall?(message: string, caller: Caller | undefined): void;
  /** A method of the service was called; authorization, if any, follows. */
  onCall?(call: CallContext): void;
  onDecision(call: CallContext, request: AuthorizationRequest, error: unknown): void;
  /** A call failed; the caller was sent `internal error` for all but a ServiceError. */
  onFailure(call: CallContext | undefined, message: string, error: unknown): void;
  /** A handler failed with a code that the table does not list for its method. */
  onUndeclared?(call: CallContext, error: ServiceError): void;
}

/** The options of a server. It implements `Describe` itself. */
export interface ServeOptions<S extends ServiceDefinition, Names extends NameParsers = NameParsers>
  extends ServingOptions<S, Names> {
  readonly callers: Callers;
  readonly names: Names;
  readonly logControl: LogControl;
  readonly observer: ServeObserver;
  /** The uids besides root whose `request_id` is adopted and whose calls have the larger limits. */
  readonly trustedUids?: ReadonlySet<number>;
  readonly limits?: CallLimits;
  /** Fields of `Describe` about the process, which no reload replaces; the caller decides which. */
  readonly describeProcess?: (caller: Caller) => Readonly<Record<string, unknown>>;
}
