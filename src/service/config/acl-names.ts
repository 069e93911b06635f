import { quoted } from '../../quoted.ts';
import type { Accounts } from '../accounts.ts';
import type { AclRule, CommonConfig } from './common-config.ts';
import type { SettingPath } from './config-problem.ts';

/** A name in a rule, and its position. */
export interface UnknownName {
  readonly path: SettingPath;
  readonly message: string;
}

/** The users and groups in the effective rules that this machine does not know: such a rule allows nothing. */
export async function unknownNames(
  { authorization: { backend, acl } }: Pick<CommonConfig, 'authorization'>,
  accounts: Accounts,
): Promise<readonly UnknownName[]> {
  if (backend !== 'acl') return [];
  return (await Promise.all(acl.map((rule, at) => unknownIn(rule, at, accounts)))).flat();
}

async function unknownIn(
  { user, group }: AclRule,
  at: number,
  accounts: Accounts,
): Promise<readonly UnknownName[]> {
  const [uid, gid] = await Promise.all([
    user === undefined || accounts.uid(user),
    group === undefined || accounts.gid(group),
  ]);
  const unknown = (kind: 'user' | 'group', name = ''): UnknownName => ({
    path: ['authorization', 'acl', at, kind],
    message: `no ${kind} ${quoted(name)} is known on this machine: until one is when the service starts, the rule allows nothing`,
  });
  return [
    ...(uid === undefined ? [unknown('user', user)] : []),
    ...(gid === undefined ? [unknown('group', group)] : []),
  ];
}
