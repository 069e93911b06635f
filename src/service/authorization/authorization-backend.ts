import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';

/** Decides requests that neither root, nor the service itself, nor a grant allows. */
export interface AuthorizationBackend {
  /** Returns undefined to allow at once; throws or rejects with AccessDenied or InteractiveAuthorizationRequired. */
  decide(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined;
}
