/** The grants between the services, duplicated here by hand, so that each change must be made twice. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import type { Caller } from '../../../src/dbus/server/caller.ts';
import { grants } from '../../../src/interfaces/grants.ts';
import { RuleSet } from '../../../src/service/authorization/rules.ts';
import { authorizedCalls } from '../../support/authorized/calls.ts';

const test = suite('grants between the services');

const rows = [
  'iotedge-certificates keys1.sign key_id=device-ca',
  'iotedge-certificates keys1.create key_id=iotedge/certificate/* usages=sign exportable=false',
  'iotedge-certificates keys1.sign key_id=iotedge/certificate/*',
  'iotedge-certificates keys1.delete key_id=iotedge/certificate/*',
  'iotedge-identity keys1.sign key_id=device-id',
  'iotedge-identity keys1.create key_id=iotedge/module-identities',
  'iotedge-identity keys1.sign key_id=iotedge/module-identities derivation=?*',
  'iotedge-identity keys1.export key_id=iotedge/module-identities derivation=?*',
  'iotedge-identity keys1.create key_id=iotedge/certificate/iotedge/device-identity usages=sign exportable=false',
  'iotedge-identity keys1.sign key_id=iotedge/certificate/iotedge/device-identity',
  'iotedge-identity certificates1.import certificate_id=iotedge/device-identity',
  'iotedge-modules keys1.sign key_id=iotedge/module-identities derivation=?*',
  'iotedge-modules keys1.create key_id=iotedge/module-encryption',
  'iotedge-modules keys1.encrypt key_id=iotedge/module-encryption',
  'iotedge-modules keys1.decrypt key_id=iotedge/module-encryption',
  'iotedge-modules certificates1.issue certificate_id=iotedge/module/*',
  'iotedge-modules certificates1.issue certificate_id=iotedge/module/* issuer=iotedge/workload-ca',
  'iotedge-modules certificates1.issue-ca certificate_id=iotedge/workload-ca profile=workload-ca',
  'iotedge-modules identity1.provision',
  'iotedge-modules identity1.manage module_id=* adopt=*',
];

test('are exactly these rows', () => {
  const found = grants.map(({ user, action, match }) => {
    const words = Object.entries(match).map(([name, glob]) => `${name}=${glob}`);
    return [user, action.replace(/^org\.iotedge\./, ''), ...words].join(' ');
  });
  assert.equal(found, rows);
});

/** The values of a detail that are combined with each value of all others. */
const tried: Readonly<Record<string, readonly string[]>> = {
  key_id: [
    'device-id',
    'device-id@2',
    'device-id2',
    'device-ca',
    'device-ca@2',
    'other',
    'iotedge/workload-ca',
    'iotedge/workload-ca@2',
    'iotedge/module-identities',
    'iotedge/module-identities@2',
    'iotedge/module-encryption',
    'iotedge/module-encryption@2',
    'iotedge/module/m/server',
    'iotedge/certificate/x',
    'iotedge/certificate/iotedge/device-identity',
  ],
  certificate_id: [
    'device-id',
    'device-ca',
    'other',
    'iotedge/workload-ca',
    'iotedge/device-identity',
    'iotedge/module-m',
    'iotedge/module/m/server',
    'iotedge/module/m/server@2',
    'iotedge/certificate/x',
  ],
  issuer: [
    'device-ca',
    'my-ca',
    'iotedge/workload-ca',
    'iotedge/workload-ca@2',
    'iotedge/module/m/server',
  ],
  profile: ['device-identity', 'server', 'client', 'device-ca', 'workload-ca'],
  derivation: ['', 'm', 'web%20primary'],
  module_id: ['', 'm', '$edgeAgent'],
  module: ['m', '$edgeAgent'],
  adopt: ['false', 'true'],
  elevated: ['', 'false', 'true'],
  exportable: ['false', 'true'],
  usages: ['sign', 'derive'],
};

const issuedIdentityKey = 'iotedge/certificate/iotedge/device-identity';

/** The details that each user may use, except the unrestricted ones, and nothing else. */
const allowed: Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>>
> = {
  'iotedge-keys': {},
  'iotedge-certificates': {
    'keys1.sign': {
      key_id: ['device-ca', 'device-ca@2', 'iotedge/certificate/x', issuedIdentityKey],
      derivation: [''],
    },
    'keys1.create': {
      key_id: ['iotedge/certificate/x', issuedIdentityKey],
      usages: ['sign'],
      exportable: ['false'],
    },
    'keys1.delete': { key_id: ['iotedge/certificate/x', issuedIdentityKey] },
  },
  'iotedge-identity': {
    'keys1.create': { key_id: ['iotedge/module-identities', 'iotedge/module-identities@2'] },
    'keys1.export': {
      key_id: ['iotedge/module-identities', 'iotedge/module-identities@2'],
      derivation: ['m', 'web%20primary'],
    },
    'certificates1.import': { certificate_id: ['iotedge/device-identity'] },
  },
  'iotedge-modules': {
    'keys1.create': { key_id: ['iotedge/module-encryption', 'iotedge/module-encryption@2'] },
    'keys1.sign': {
      key_id: ['iotedge/module-identities', 'iotedge/module-identities@2'],
      derivation: ['m', 'web%20primary'],
    },
    'keys1.encrypt': {
      key_id: ['iotedge/module-encryption', 'iotedge/module-encryption@2'],
      derivation: [''],
    },
    'keys1.decrypt': {
      key_id: ['iotedge/module-encryption', 'iotedge/module-encryption@2'],
      derivation: [''],
    },
    'certificates1.issue': {
      certificate_id: ['iotedge/module/m/server', 'iotedge/module/m/server@2'],
      issuer: ['device-ca', 'my-ca', 'iotedge/workload-ca', 'iotedge/workload-ca@2'],
      profile: ['device-identity', 'server', 'client'],
    },
    'certificates1.issue-ca': {
      certificate_id: ['iotedge/workload-ca'],
      issuer: ['device-ca', 'my-ca'],
      profile: ['workload-ca'],
    },
    'identity1.provision': {},
    'identity1.manage': {},
  },
};

/** Signing for the device and for modules are rows with other keys, and so is creating them. */
function isAllowed(user: string, { action, details }: AuthorizationRequest): boolean {
  const short = action.replace(/^org\.iotedge\./, '');
  if (user === 'iotedge-identity' && short === 'keys1.sign') {
    const key = details['key_id']?.replace('@2', '') ?? '';
    const plain = ['device-id', issuedIdentityKey];
    return (details['derivation'] === '' ? plain : ['iotedge/module-identities']).includes(key);
  }
  if (user === 'iotedge-identity' && short === 'keys1.create') {
    if (details['key_id'] === issuedIdentityKey) {
      return details['usages'] === 'sign' && details['exportable'] === 'false';
    }
  }
  const only = allowed[user]?.[short];
  if (only === undefined) return false;
  return Object.entries(only).every(([name, values]) => values.includes(details[name] ?? ''));
}

/** Every action with each combination of the values. */
const requests: readonly AuthorizationRequest[] = [
  ...new Map(
    authorizedCalls.flatMap(({ requests }) => requests.map((one) => [one.action, one] as const)),
  ).values(),
].flatMap(({ action, details }) =>
  Object.keys(details)
    .reduce<readonly AuthorizationRequest['details'][]>(
      (sets, name) =>
        sets.flatMap((set) => (tried[name] ?? ['any']).map((value) => ({ ...set, [name]: value }))),
      [{}],
    )
    .map((one) => ({ action, details: one })),
);

for (const [at, user] of Object.keys(allowed).entries()) {
  test(`let ${user} do exactly what is listed here`, async () => {
    const uid = 900 + at;
    const accounts = {
      uid: (name: string) => Promise.resolve(name === user ? uid : undefined),
      gid: () => Promise.resolve(undefined),
    };
    const set = await RuleSet.fromGrants(grants, [], accounts);
    const caller: Caller = { sender: ':1.1', uid, gids: [], pid: undefined };
    const wrong = requests
      .filter((request) => set.allows(caller, request) !== isAllowed(user, request))
      .map((request) => JSON.stringify(request));
    assert.equal(wrong, []);
    assert.not.ok(requests.some((request) => set.allows({ ...caller, uid: 1 }, request)));
  });
}

test('are tested with every action of the services', () => {
  assert.is(new Set(requests.map(({ action }) => action)).size, 20);
  assert.ok(requests.length > 400);
});

test.run();
