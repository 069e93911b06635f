import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';

/** Decides what neither root, nor the service itself, nor a grant decides. */
export interface AuthorizationBackend {
  /** Undefined for a yes at once; throws or rejects with AccessDenied or InteractiveAuthorizationRequired. */
  decide(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined;
}
