/** The warnings about a configuration: rules that cover nothing, or no user. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificatesService } from '../../../../src/interfaces/certificates.ts';
import { identityService } from '../../../../src/interfaces/identity.ts';
import { keysService } from '../../../../src/interfaces/keys.ts';
import { modulesService } from '../../../../src/interfaces/modules.ts';
import type { Accounts } from '../../../../src/service/accounts.ts';
import { unknownNames } from '../../../../src/service/config/acl-names.ts';
import type { AclRule, GrantRule } from '../../../../src/service/config/common-config.ts';
import { ruleWarnings } from '../../../../src/service/config/rule-warnings.ts';

const test = suite('warnings about rules');

const accounts: Accounts = {
  uid: (name) => Promise.resolve(name === 'ann' ? 1000 : undefined),
  gid: (name) => Promise.resolve(name === 'ops' ? 50 : undefined),
};
const actions = ['*'];

function configOf(
  backend: 'acl' | 'polkit',
  acl: readonly AclRule[],
  grants: readonly GrantRule[] = [],
) {
  return { authorization: { backend, cache_s: 10, acl }, grants };
}

test('name each unknown user and group, with its place', async () => {
  const acl: readonly AclRule[] = [
    { user: 'ann', group: 'ops', actions },
    { user: 'ann', actions },
    { group: 'ops', actions },
    { user: 'bob', group: 'users', actions },
    { user: 'ann', group: 'staff', actions },
    { user: 'eve', group: 'ops', actions },
  ];
  const found = await unknownNames(configOf('acl', acl), accounts);
  const why = 'until one is when the service starts, the rule allows nothing';
  assert.equal(found, [
    {
      path: ['authorization', 'acl', 3, 'user'],
      message: `no user "bob" is known on this machine: ${why}`,
    },
    {
      path: ['authorization', 'acl', 3, 'group'],
      message: `no group "users" is known on this machine: ${why}`,
    },
    {
      path: ['authorization', 'acl', 4, 'group'],
      message: `no group "staff" is known on this machine: ${why}`,
    },
    {
      path: ['authorization', 'acl', 5, 'user'],
      message: `no user "eve" is known on this machine: ${why}`,
    },
  ]);
  assert.equal(await unknownNames(configOf('polkit', acl), accounts), [], 'they are not in force');
});

test('name each action that the service does not have, and each detail that its actions do not have', () => {
  const rule = {
    user: 'ann',
    actions: ['org.iotedge.keys1.sign', 'org.iotedge.certificates1.*', 'org.iotedge.keys1.ver*'],
    match: { key_id: '*', format: 'raw', derivation: '' },
  };
  const fine = {
    user: 'ann',
    actions: ['org.iotedge.keys1.*'],
    match: { format: 'raw', usages: 'sign' },
  };
  const all = Object.keys(keysService.actions).join(', ');
  const expected = (...path: readonly (string | number)[]) => [
    {
      path: [...path, 'actions', 1],
      message: `"org.iotedge.certificates1.*" is not an action of this service: there is ${all}`,
    },
    {
      path: [...path, 'match', 'format'],
      message:
        '"format" is not a detail of these actions, so the rule allows nothing: there is key_id, mechanism, derivation',
    },
  ];
  const found = (...args: Parameters<typeof configOf>) =>
    ruleWarnings(configOf(...args), keysService);
  assert.equal(found('acl', [fine, rule]), expected('authorization', 'acl', 1));
  assert.equal(found('polkit', [fine, rule]), [], 'they are not in force');
  const grant = { ...rule, user: 'iotedge-identity' };
  assert.equal(found('polkit', [], [grant]), expected('grants', 0));
  assert.equal(found('acl', [rule], [grant]), [
    ...expected('authorization', 'acl', 0),
    ...expected('grants', 0),
  ]);
});

test('skip the details of an action that does not exist', () => {
  const acl = [{ user: 'ann', actions: ['org.iotedge.keys1.singe'], match: { odd: '*' } }];
  const paths = ruleWarnings(configOf('acl', acl), keysService).map(({ path }) => path);
  assert.equal(paths, [['authorization', 'acl', 0, 'actions', 0]]);
});

test('know the details of actions that a method chooses from, and renamed ones', () => {
  const strange = (
    service: Parameters<typeof ruleWarnings>[1],
    action: string,
    ...names: readonly string[]
  ): readonly unknown[] => {
    const match = Object.fromEntries(names.map((name) => [name, '*']));
    const acl = [{ user: 'ann', actions: [action], match }];
    return ruleWarnings(configOf('acl', acl), service).map(({ path }) => path.at(-1));
  };
  for (const verb of ['issue', 'issue-ca']) {
    const action = `org.iotedge.certificates1.${verb}`;
    assert.equal(strange(certificatesService, action, 'certificate_id', 'issuer', 'profile'), []);
    assert.equal(strange(certificatesService, action, 'format'), ['format']);
  }
  const run = 'org.iotedge.modules1.run';
  assert.equal(strange(modulesService, run, 'module', 'type', 'image', 'elevated', 'name'), [
    'name',
  ]);
  const manage = 'org.iotedge.identity1.manage';
  assert.equal(strange(identityService, manage, 'module_id', 'adopt', 'id'), ['id']);
});

test.run();
