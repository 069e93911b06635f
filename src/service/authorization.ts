import type { Bus } from '../dbus/bus.ts';
import type { Callers } from '../dbus/caller.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { Authorizer, CallContext, Question } from '../dbus/serve.ts';
import { ServiceError } from '../errors.ts';
import { globMatches } from '../ids.ts';
import { grants } from '../interfaces/grants.ts';
import type { Accounts } from './accounts.ts';
import type { CommonConfig } from './common-config.ts';
import { BusPolkitAuthority } from './polkit-authority.ts';
import { PolkitBackend } from './polkit-backend.ts';
import { RuleSet } from './rules.ts';

/** Decides what neither root, nor the service itself, nor a grant decides. */
export interface AuthorizationBackend {
  /** Undefined for a yes at once; throws or rejects with AccessDenied or InteractiveAuthorizationRequired. */
  decide(question: Question, call: CallContext): Promise<void> | undefined;
  /** A caller left the bus. */
  forget(sender: string): void;
}

/** Who may call what: root, the service's own user, granted services, then the backend. */
export class Authorization implements Authorizer {
  readonly #granted: RuleSet;
  readonly #backend: AuthorizationBackend;
  readonly #ownUid: number;

  constructor(granted: RuleSet, backend: AuthorizationBackend, ownUid = process.getuid?.() ?? 0) {
    this.#granted = granted;
    this.#backend = backend;
    this.#ownUid = ownUid;
  }

  authorize(question: Question, call: CallContext): Promise<void> | undefined {
    const { uid } = call.caller;
    if (uid === 0 || uid === this.#ownUid) return undefined;
    if (this.#granted.allows(call.caller, question)) return undefined;
    return this.#backend.decide(question, call);
  }
}

/** Rules of the configuration instead of polkit. */
export class AclBackend implements AuthorizationBackend {
  readonly #rules: RuleSet;

  constructor(rules: RuleSet) {
    this.#rules = rules;
  }

  decide(question: Question, call: CallContext): undefined {
    if (this.#rules.allows(call.caller, question)) return undefined;
    throw new ServiceError('AccessDenied', `no rule allows ${question.action} for this caller`);
  }

  forget(): void {
    // Rules say the same to every connection.
  }
}

/** What the authorization of a service depends on. */
export interface AuthorizationOptions {
  readonly bus: Bus;
  readonly callers: Callers;
  readonly service: ServiceDefinition;
  readonly config: Pick<CommonConfig, 'authorization' | 'grants'>;
  /** Where the users and groups of rules are looked up. */
  readonly accounts: Accounts;
  /** Where the users of the services are looked up. */
  readonly local: Accounts;
}

/** The authorization that the configuration asks for. */
export async function createAuthorization(options: AuthorizationOptions): Promise<Authorization> {
  const { callers, service, config, local } = options;
  const here = grants.filter(({ action }) =>
    Object.keys(service.actions).some((known) => globMatches(action, known)),
  );
  const granted = await RuleSet.fromGrants(here, config.grants, local);
  const backend = await createBackend(options);
  callers.onVanish(({ sender }) => backend.forget(sender));
  return new Authorization(granted, backend);
}

async function createBackend({
  bus,
  config: { authorization },
  accounts,
}: AuthorizationOptions): Promise<AuthorizationBackend> {
  if (authorization.backend === 'acl') {
    return new AclBackend(await RuleSet.fromAcl(authorization.acl, accounts));
  }
  const yesMs = authorization.cache_s * 1000;
  const lifetimes = { yesMs, noMs: Math.min(yesMs, 1000) };
  return new PolkitBackend({ authority: new BusPolkitAuthority(bus), lifetimes });
}
