import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Caller } from '../../../../src/dbus/server/caller.ts';
import { grants } from '../../../../src/interfaces/grants.ts';
import { type Rule, RuleSet, ruleAllows } from '../../../../src/service/authorization/rules.ts';

const test = suite('rules');

const accounts = {
  uid: (name: string) =>
    Promise.resolve(
      new Map([
        ['ann', 1000],
        ['iotedge-identity', 996],
      ]).get(name),
    ),
  gid: (name: string) => Promise.resolve(new Map([['ops', 50]]).get(name)),
};

function caller(uid: number, ...gids: number[]): Caller {
  return { sender: ':1.1', uid, gids, pid: undefined };
}

function sign(key_id: string, derivation = ''): Parameters<typeof ruleAllows>[1] {
  return { action: 'org.iotedge.keys1.sign', details: { key_id, derivation } };
}

test('do not restrict a detail that they do not match, except the guarded ones', () => {
  const any: Rule = { actions: ['org.iotedge.*'], match: {} };
  assert.ok(ruleAllows(any, sign('device-id')));
  assert.not.ok(ruleAllows(any, sign('device-id', 'module')));
  assert.ok(ruleAllows({ ...any, match: { derivation: '*' } }, sign('device-id', 'module')));
  for (const [name, harmless, harmful] of [
    ['elevated', 'false', 'true'],
    ['elevated', '', 'yes'],
    ['profile', 'server', 'device-ca'],
    ['profile', '', 'workload-ca'],
    ['adopt', 'false', 'true'],
    ['adopt', '', 'yes'],
    ['key_id', 'iotedge', 'iotedge/certificate/x'],
    ['key_id', 'iotedge-x', 'iotedge/x'],
    ['certificate_id', 'mine/iotedge/x', 'iotedge/workload-ca@2'],
    ['issuer', 'device-ca', 'iotedge/workload-ca'],
  ] as const) {
    assert.ok(ruleAllows(any, { action: 'org.iotedge.x', details: { [name]: harmless } }));
    assert.not.ok(ruleAllows(any, { action: 'org.iotedge.x', details: { [name]: harmful } }));
  }
});

test('guard each detail that they do not name, whatever else they name', () => {
  const request = {
    action: 'org.iotedge.modules1.run',
    details: { module: 'm', elevated: 'true', adopt: 'true', derivation: 'd' },
  };
  const allowed = (...names: readonly string[]): boolean =>
    ruleAllows(
      { actions: ['*'], match: Object.fromEntries(names.map((name) => [name, '*'])) },
      request,
    );
  assert.ok(allowed('elevated', 'adopt', 'derivation'));
  for (const left of ['elevated', 'adopt', 'derivation']) {
    const named = ['module', 'elevated', 'adopt', 'derivation'].filter((name) => name !== left);
    assert.not.ok(allowed(...named), left);
  }
});

test('cover an action whose details are all covered by any one of their globs', () => {
  const rule: Rule = { actions: ['org.iotedge.keys1.s?gn', 'org.iotedge.keys1.ver*'], match: {} };
  const may = (verb: string): boolean =>
    ruleAllows(rule, { action: `org.iotedge.keys1.${verb}`, details: {} });
  assert.equal(['sign', 'verify', 'ver', 'sgn', 'sign-device', 'export', '*'].filter(may), [
    'sign',
    'verify',
    'ver',
  ]);
});

test('cover the ids of the services only with a glob of their prefix, in every detail that is an id', () => {
  for (const name of ['key_id', 'certificate_id', 'issuer']) {
    const may = (glob: string, value: string): boolean =>
      ruleAllows(
        { actions: ['*'], match: { [name]: glob } },
        { action: 'a', details: { [name]: value } },
      );
    assert.ok(may('iotedge/*', 'iotedge/x'), name);
    assert.ok(may('*', 'x@2'), name);
    assert.not.ok(may('*', 'iotedge/x'), name);
    assert.not.ok(may('*', 'iotedge/x@2'), name);
  }
});

test('cover one rotated name when they name it, and other details literally', () => {
  const rule: Rule = { actions: ['*'], match: { key_id: 'device-id@2' } };
  assert.ok(ruleAllows(rule, sign('device-id@2')));
  assert.not.ok(ruleAllows(rule, sign('device-id')));
  assert.not.ok(ruleAllows(rule, sign('device-id@3')));
  const module: Rule = { actions: ['*'], match: { module: 'm' } };
  assert.not.ok(ruleAllows(module, { action: 'a', details: { module: 'm@2' } }));
  const image: Rule = { actions: ['*'], match: { image: '*' } };
  assert.ok(ruleAllows(image, { action: 'a', details: { image: 'iotedge/agent:1' } }));
});

test('cover the names that rotation gives to an id, and no others', () => {
  const rule: Rule = { actions: ['*'], match: { key_id: 'device-id' } };
  assert.ok(ruleAllows(rule, sign('device-id@2')));
  assert.not.ok(ruleAllows(rule, sign('device-id2')));
  assert.not.ok(ruleAllows(rule, sign('device-id@x')));
  assert.not.ok(ruleAllows({ ...rule, match: { key_id: '*' } }, sign('iotedge/workload-ca@1')));
});

test('allow issuing with the CA of the services only where they name it', () => {
  const certificate_id = 'web-*';
  const issued = (issuer: string, match: Rule['match']): boolean =>
    ruleAllows(
      { actions: ['*'], match: { certificate_id, ...match } },
      {
        action: 'org.iotedge.certificates1.issue',
        details: { certificate_id: 'web-1', issuer, profile: 'server' },
      },
    );
  assert.ok(issued('device-ca', {}));
  assert.ok(issued('device-ca@2', { issuer: 'device-ca' }));
  assert.ok(issued('iotedge/workload-ca', { issuer: 'iotedge/workload-ca' }));
  for (const match of [{}, { issuer: '*' }, { issuer: '?otedge/*' }]) {
    assert.not.ok(issued('iotedge/workload-ca', match));
    assert.not.ok(issued('iotedge/workload-ca@2', match));
  }
});

test('allow the module runtime to issue for modules only, with the configured CA', async () => {
  const runtime = { uid: () => Promise.resolve(995), gid: () => Promise.resolve(undefined) };
  const set = await RuleSet.fromGrants(grants, [], runtime);
  const may = (certificate_id: string, issuer: string): boolean =>
    set.allows(caller(995), {
      action: 'org.iotedge.certificates1.issue',
      details: { certificate_id, issuer, profile: 'server' },
    });
  for (const issuer of ['device-ca', 'my-ca@2', 'iotedge/workload-ca', 'iotedge/workload-ca@2']) {
    assert.ok(may('iotedge/module/m/server', issuer), issuer);
    assert.not.ok(may('device-id', issuer), issuer);
  }
  assert.not.ok(may('iotedge/module/m/server', 'iotedge/module/other'));
});

test('do not match a detail that the action does not have', () => {
  const rule: Rule = { actions: ['*'], match: { certificate_id: '*' } };
  assert.not.ok(ruleAllows(rule, sign('device-id')));
  assert.not.ok(ruleAllows({ actions: ['*'], match: { toString: '*' } }, sign('device-id')));
});

test('apply to users, groups as the bus reports them, or both', async () => {
  const set = await RuleSet.fromAcl(
    [
      { user: 'ann', actions: ['a'] },
      { group: 'ops', actions: ['b'] },
      { user: 'ann', group: 'ops', actions: ['c'] },
      { user: 'nobody-here', actions: ['*'] },
      { user: 'nobody-here', group: 'ops', actions: ['*'] },
      { group: 'nobody-here', actions: ['*'] },
    ],
    accounts,
  );
  const may = (who: Caller): string[] =>
    ['a', 'b', 'c', 'd'].filter((action) => set.allows(who, { action, details: {} }));
  assert.equal(may(caller(1000)), ['a']);
  assert.equal(may(caller(1001, 7, 50)), ['b']);
  assert.equal(may(caller(1000, 50)), ['a', 'b', 'c']);
  assert.equal(may(caller(1002)), []);
});

test('of one user or group are all evaluated, in any order', async () => {
  const set = await RuleSet.fromAcl(
    [
      { user: 'ann', actions: ['a'] },
      { user: 'ann', actions: ['b'] },
      { group: 'ops', actions: ['c'] },
      { group: 'ops', actions: ['d'] },
      { user: '1000', actions: ['e'] },
      { group: '50', actions: ['f'] },
    ],
    {
      uid: (name) => (name === '1000' ? Promise.resolve(1000) : accounts.uid(name)),
      gid: (name) => (name === '50' ? Promise.resolve(50) : accounts.gid(name)),
    },
  );
  const may = (who: Caller): string[] =>
    ['a', 'b', 'c', 'd', 'e', 'f'].filter((action) => set.allows(who, { action, details: {} }));
  assert.equal(may(caller(1000, 50)), ['a', 'b', 'c', 'd', 'e', 'f']);
  assert.equal(may(caller(1000)), ['a', 'b', 'e']);
  assert.equal(may(caller(50, 1000)), []);
  assert.equal(may(caller(7, 50)), ['c', 'd', 'f']);
});

test('grant a service what the table defines, and what the configuration adds', async () => {
  const added = {
    user: 'iotedge-identity',
    actions: ['org.iotedge.keys1.sign'],
    match: { key_id: 'my-key' },
  };
  const set = await RuleSet.fromGrants(grants, [added], accounts);
  const identity = caller(996);
  assert.ok(set.allows(identity, sign('device-id@3')));
  assert.ok(set.allows(identity, sign('my-key')));
  assert.ok(set.allows(identity, sign('iotedge/module-identities', 'x')));
  assert.not.ok(set.allows(identity, sign('iotedge/module-identities')));
  assert.not.ok(set.allows(identity, sign('device-ca')));
  assert.not.ok(set.allows(caller(997), sign('device-id')));
});

test.run();
