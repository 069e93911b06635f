import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';
import { ServiceError } from '../../errors.ts';
import type { AuthorizationBackend } from './authorization-backend.ts';
import type { RuleSet } from './rules.ts';

/** Decides by the rules of the configuration instead of polkit. */
export class AclBackend implements AuthorizationBackend {
  readonly #rules: RuleSet;

  constructor(rules: RuleSet) {
    this.#rules = rules;
  }

  decide(request: AuthorizationRequest, call: CallContext): undefined {
    if (this.#rules.allows(call.caller, request)) return undefined;
    throw new ServiceError('AccessDenied', `no rule allows ${request.action} for this caller`);
  }
}
