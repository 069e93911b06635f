import type { Bus } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import type { Callers } from '../../dbus/server/caller.ts';
import { globMatches } from '../../glob.ts';
import { grants } from '../../interfaces/grants.ts';
import type { Accounts } from '../accounts.ts';
import type { CommonConfig } from '../config/common-config.ts';
import { AclBackend } from './acl-backend.ts';
import { PolkitBackend } from './polkit-backend.ts';
import { BusPolkitClient } from './polkit-client.ts';
import { Authorization, RuleSet } from './rules.ts';
import type { VerdictLifetimes } from './verdict-cache.ts';

/** Everything that the authorization of a service depends on besides its configuration. */
export interface AuthorizationOptions {
  readonly bus: Bus;
  readonly callers: Callers;
  readonly service: ServiceDefinition;
}

/** Where the users and groups of a configuration are looked up. */
export interface AccountSources {
  /** For the users and groups in rules. */
  readonly accounts: Accounts;
  /** For the users of the services, which are in the files of this machine. */
  readonly local: Accounts;
}

/** Builds the authorization for each configuration of a process, one after the other. */
export class Authorizations {
  readonly #options: AuthorizationOptions;
  /** One for the life of the process: its limits on polkit checks hold across reloads. */
  #polkit: PolkitBackend | undefined;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /**
   * Looks up the users and groups that a configuration names; the returned function puts it in force and drops all
   * earlier verdicts.
   */
  async prepare(
    config: Pick<CommonConfig, 'authorization' | 'grants'>,
    { accounts, local }: AccountSources,
  ): Promise<() => Authorization> {
    const { service } = this.#options;
    const { authorization } = config;
    const here = grants.filter(({ action }) =>
      Object.keys(service.actions).some((known) => globMatches(action, known)),
    );
    const granted = await RuleSet.fromGrants(here, config.grants, local);
    if (authorization.backend === 'acl') {
      const backend = new AclBackend(await RuleSet.fromAcl(authorization.acl, accounts));
      return () => new Authorization(granted, backend);
    }
    const yesMs = authorization.cache_s * 1000;
    const lifetimes = { yesMs, noMs: Math.min(yesMs, 1000) };
    return () => new Authorization(granted, this.#polkitWith(lifetimes));
  }

  #polkitWith(lifetimes: VerdictLifetimes): PolkitBackend {
    const { bus, callers } = this.#options;
    if (this.#polkit === undefined) {
      const polkit = new PolkitBackend({ client: new BusPolkitClient(bus), lifetimes });
      callers.onVanish(({ sender }) => polkit.evict(sender));
      this.#polkit = polkit;
    } else this.#polkit.renew(lifetimes);
    return this.#polkit;
  }
}
