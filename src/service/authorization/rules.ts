import type { AuthorizationRequest, Authorizer } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';
import type { Caller } from '../../dbus/server/caller.ts';
import { globMatches, idGlobMatches, unrotated } from '../../glob.ts';
import { type Grant, guardedDetails, idDetails } from '../../interfaces/grants.ts';
import type { Accounts } from '../accounts.ts';
import type { AclRule, GrantRule } from '../config/common-config.ts';
import type { AuthorizationBackend } from './authorization-backend.ts';

/** Who may call what: root, the service's own user, granted services, then whom the backend allows. */
export class Authorization implements Authorizer {
  readonly #granted: RuleSet;
  readonly #backend: AuthorizationBackend;
  readonly #ownUid: number;

  constructor(granted: RuleSet, backend: AuthorizationBackend, ownUid = process.getuid?.() ?? 0) {
    this.#granted = granted;
    this.#backend = backend;
    this.#ownUid = ownUid;
  }

  authorize(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined {
    const { uid } = call.caller;
    if (uid === 0 || uid === this.#ownUid) return undefined;
    if (this.#granted.allows(call.caller, request)) return undefined;
    return this.#backend.decide(request, call);
  }
}

/** A rule for a set of callers, with what it allows them. */
export interface Rule {
  readonly actions: readonly string[];
  readonly match: Readonly<Record<string, string>>;
}

/** Rules by the users and groups that they apply to. A rule with an unknown name has no effect. */
export class RuleSet {
  readonly #byUid = new Map<number, Rule[]>();
  readonly #byGid = new Map<number, (Rule & { readonly uid: number | undefined })[]>();

  /** Resolves the names in access control rules. */
  static async fromAcl(rules: readonly AclRule[], accounts: Accounts): Promise<RuleSet> {
    const set = new RuleSet();
    for (const { user, group, actions, match = {} } of rules) {
      const uid = user === undefined ? undefined : await accounts.uid(user);
      if (user !== undefined && uid === undefined) continue;
      if (group !== undefined) set.#addForGroup(await accounts.gid(group), { actions, match, uid });
      else if (uid !== undefined) set.#addForUser(uid, { actions, match });
    }
    return set;
  }

  /** Resolves the names in the grants between the services, both built-in and configured. */
  static async fromGrants(
    builtIn: readonly Grant[],
    configured: readonly GrantRule[],
    accounts: Accounts,
  ): Promise<RuleSet> {
    return RuleSet.fromAcl(
      [
        ...builtIn.map(({ user, action, match }) => ({ user, actions: [action], match })),
        ...configured,
      ],
      accounts,
    );
  }

  /** Whether a rule for this caller allows the request. */
  allows(caller: Caller, request: AuthorizationRequest): boolean {
    const own = this.#byUid.get(caller.uid);
    if (own?.some((rule) => ruleAllows(rule, request)) === true) return true;
    if (this.#byGid.size === 0) return false;
    return caller.gids.some((gid) =>
      this.#byGid
        .get(gid)
        ?.some(
          (rule) =>
            (rule.uid === undefined || rule.uid === caller.uid) && ruleAllows(rule, request),
        ),
    );
  }

  #addForUser(uid: number, rule: Rule): void {
    const rules = this.#byUid.get(uid);
    if (rules === undefined) this.#byUid.set(uid, [rule]);
    else rules.push(rule);
  }

  #addForGroup(gid: number | undefined, rule: Rule & { readonly uid: number | undefined }): void {
    if (gid === undefined) return;
    const rules = this.#byGid.get(gid);
    if (rules === undefined) this.#byGid.set(gid, [rule]);
    else rules.push(rule);
  }
}

/** Whether a rule covers the action and all details; a detail that it leaves open must be harmless. */
export function ruleAllows(rule: Rule, { action, details }: AuthorizationRequest): boolean {
  if (!rule.actions.some((glob) => globMatches(glob, action))) return false;
  for (const [name, glob] of Object.entries(rule.match)) {
    const value = Object.hasOwn(details, name) ? details[name] : undefined;
    if (value === undefined || !detailMatches(name, glob, value)) return false;
  }
  for (const [name, isHarmless] of Object.entries(guardedDetails)) {
    const value = details[name];
    if (value !== undefined && !Object.hasOwn(rule.match, name) && !isHarmless(value)) return false;
  }
  return true;
}

/**
 * A glob on an id covers the names that rotation derives from it, and reserved ids only when it names them explicitly.
 */
function detailMatches(name: string, glob: string, value: string): boolean {
  if (!idDetails.includes(name)) return globMatches(glob, value);
  return idGlobMatches(glob, value) || idGlobMatches(glob, unrotated(value));
}
