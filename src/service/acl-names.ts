import type { Accounts } from './accounts.ts';
import type { CommonConfig } from './common-config.ts';
import type { SettingPath } from './problem.ts';

/** A name in a rule, and where it stands. */
export interface UnknownName {
  readonly path: SettingPath;
  readonly message: string;
}

/** The users and groups of the rules in force that this machine does not have: such a rule allows nobody anything. */
export async function unknownNames(
  { authorization: { backend, acl } }: Pick<CommonConfig, 'authorization'>,
  accounts: Accounts,
): Promise<readonly UnknownName[]> {
  if (backend !== 'acl') return [];
  const unknown: UnknownName[] = [];
  const note = (at: number, kind: 'user' | 'group', name: string): void => {
    const message = `no ${kind} ${JSON.stringify(name)} on this machine: until there is one when the service starts, the rule allows nothing`;
    unknown.push({ path: ['authorization', 'acl', at, kind], message });
  };
  for (const [at, { user, group }] of acl.entries()) {
    if (user !== undefined && (await accounts.uid(user)) === undefined) note(at, 'user', user);
    if (group !== undefined && (await accounts.gid(group)) === undefined) note(at, 'group', group);
  }
  return unknown;
}
