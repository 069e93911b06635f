/** The rights on keys that services need, and the lines of keys.yaml that are missing for them. */

import { pairAlgorithms, signMechanisms } from '../../interfaces/enumerations.ts';
import { grantAdvice, grants } from '../../interfaces/grants.ts';
import type { KeysConfig } from '../../keys/config/config.ts';
import { ruleAllows } from '../../service/authorization/rules.ts';
import type { PlacedConfig } from '../../service/config/config.ts';
import type { Problem } from '../../service/config/config-problem.ts';

/** What a service does with a key: sign, or create and delete the keys that follow it. */
export type KeyRight = 'sign' | 'rotate';

/** A key that one of the services uses. */
export interface KeyUse {
  readonly id: string;
  readonly right: KeyRight;
  readonly user: string;
  readonly place: (message: string) => Problem;
}

/** The uid of a user of this machine; undefined when there is none of that name. */
export type UidOf = (user: string) => number | undefined;

interface Question {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
}

const sign = 'org.iotedge.keys1.sign';
const create = 'org.iotedge.keys1.create';
const remove = 'org.iotedge.keys1.delete';

/** The problem of a key that a service may not use; none when it may. */
export function missingGrant(
  { id, right, user, place }: KeyUse,
  keys: PlacedConfig<KeysConfig> | undefined,
  uidOf: UidOf,
): readonly Problem[] {
  if (keys === undefined || id === '') return [];
  const account = { name: user, uid: uidOf(user) };
  const isAllowed = (questions: readonly Question[]): boolean =>
    questions.some((question) => mayDo(question, account, keys.config));
  if (right === 'sign') {
    if (isAllowed(signQuestions(id))) return [];
    const line = grantAdvice(user, [sign], id);
    return [place(`${user} may not sign with the key "${id}": ${line}`)];
  }
  const missing = [
    ...(isAllowed(createQuestions(`${id}@2`)) ? [] : [create]),
    ...(isAllowed([{ action: remove, details: { key_id: `${id}@2` } }]) ? [] : [remove]),
  ];
  if (missing.length === 0) return [];
  const verbs = missing.map((action) => action.split('.').at(-1)).join(' and ');
  const line = grantAdvice(user, missing, `${id}@*`);
  return [place(`${user} may not ${verbs} the keys that follow "${id}" by key_policy: ${line}`)];
}

/** No file states the type of the key, which decides the mechanisms: one permitted mechanism is enough. */
function signQuestions(id: string): readonly Question[] {
  return signMechanisms.map((mechanism) => ({
    action: sign,
    details: { key_id: id, mechanism, derivation: '' },
  }));
}

/** Likewise one permitted kind of key is enough. */
function createQuestions(id: string): readonly Question[] {
  return ['ec-p256,rsa-2048', ...pairAlgorithms].map((algorithm) => ({
    action: create,
    details: { key_id: id, algorithm, usages: 'sign', exportable: 'false' },
  }));
}

function mayDo(
  question: Question,
  account: Account,
  { authorization, grants: own }: Pick<KeysConfig, 'authorization' | 'grants'>,
): boolean {
  const builtIn = grants.map(({ action, ...grant }) => ({ ...grant, actions: [action] }));
  const acl = authorization.backend === 'acl' ? authorization.acl : [];
  return [...builtIn, ...own, ...acl].some((rule) => {
    const covered = { actions: rule.actions, match: rule.match ?? {} };
    return isFor(rule, account) && ruleAllows(covered, question);
  });
}

interface Account {
  readonly name: string;
  readonly uid: number | undefined;
}

/** Groups and uids that only the service's machine can resolve get the benefit of the doubt. */
function isFor({ user }: { readonly user?: string }, { name, uid }: Account): boolean {
  if (user === undefined || user === name) return true;
  return /^[0-9]{1,10}$/.test(user) && (uid === undefined || uid === Number(user));
}
