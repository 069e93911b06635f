import { polkitChecksOf, type ServiceDefinition } from '../../dbus/definition.ts';
import { globMatches } from '../../glob.ts';
import { quoted } from '../../quoted.ts';
import type { UnknownName } from './acl-names.ts';
import type { AclRule, CommonConfig, GrantRule } from './common-config.ts';
import type { SettingPath } from './config-problem.ts';

/**
 * The words in the effective rules that match no action or detail of this service: such a rule allows less than it
 * seems to.
 */
export function ruleWarnings(
  { authorization: { backend, acl }, grants }: Pick<CommonConfig, 'authorization' | 'grants'>,
  service: ServiceDefinition,
): readonly UnknownName[] {
  const details = detailsByAction(service);
  if (details.size === 0) return [];
  const inForce: readonly (readonly [SettingPath, readonly (AclRule | GrantRule)[]])[] = [
    [['authorization', 'acl'], backend === 'acl' ? acl : []],
    [['grants'], grants],
  ];
  return inForce.flatMap(([path, rules]) =>
    rules.flatMap((rule, at) => warningsOf(rule, [...path, at], details)),
  );
}

type Details = ReadonlyMap<string, ReadonlySet<string>>;

function warningsOf(
  { actions, match = {} }: AclRule | GrantRule,
  path: SettingPath,
  details: Details,
): readonly UnknownName[] {
  const covered = (glob: string): readonly string[] =>
    [...details.keys()].filter((action) => globMatches(glob, action));
  const empty = actions.flatMap((glob, at) =>
    covered(glob).length > 0
      ? []
      : [
          {
            path: [...path, 'actions', at],
            message: `${quoted(glob)} is not an action of this service: there is ${[...details.keys()].join(', ')}`,
          },
        ],
  );
  const known = new Set(actions.flatMap(covered).flatMap((one) => [...(details.get(one) ?? [])]));
  // an unknown action has no details to compare with
  if (known.size === 0) return empty;
  const unmatched = Object.keys(match).filter((name) => !known.has(name));
  return [
    ...empty,
    ...unmatched.map((name) => ({
      path: [...path, 'match', name],
      message: `${quoted(name)} is not a detail of these actions, so the rule allows nothing: there is ${[...known].join(', ')}`,
    })),
  ];
}

/** The names of the details in the requests for each action of a service. */
function detailsByAction({ actions, manager }: ServiceDefinition): Details {
  const details = new Map(Object.keys(actions).map((id) => [id, new Set<string>()]));
  for (const { authorize } of Object.values(manager.methods ?? {})) {
    for (const check of polkitChecksOf(authorize)) {
      const ids = typeof check.action === 'string' ? [check.action] : check.action.oneOf;
      const names = Array.isArray(check.details)
        ? check.details.map(String)
        : Object.keys(check.details);
      for (const id of ids) for (const name of names) details.get(id)?.add(name);
    }
  }
  return details;
}
