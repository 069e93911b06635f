import { type AuthorizedCall, argument } from './call.ts';

function manage(
  method: string,
  module_id: string,
  outcome: NonNullable<AuthorizedCall['outcome']>,
): AuthorizedCall {
  return {
    service: 'identity',
    method,
    use: { args: { module_id }, options: { adopt: true } },
    requests: [{ action: 'org.iotedge.identity1.manage', details: { module_id, adopt: 'true' } }],
    others: [
      argument('module_id', `${module_id}2`),
      ['adopt', 'false', { options: { adopt: false } }],
      ['adopt', 'false', { options: { adopt: undefined } }],
    ],
    outcome,
  };
}

const provision = { action: 'org.iotedge.identity1.provision', details: {} };

export const identityCalls: readonly AuthorizedCall[] = [
  manage('CreateModuleIdentity', 'created', 'NotProvisioned'),
  manage('UpdateModuleIdentity', 'updated', 'NotProvisioned'),
  manage('DeleteModuleIdentity', 'deleted', 'NotProvisioned'),
  {
    service: 'identity',
    method: 'CreateSasToken',
    what: 'of a module',
    use: { args: { module_id: 'signing', audience: 'hub/devices/x', lifetime_s: 60 } },
    requests: [
      {
        action: 'org.iotedge.identity1.sign',
        details: { module_id: 'signing', audience: 'hub/devices/x' },
      },
    ],
    others: [argument('module_id', 'signing2'), argument('audience', 'hub/devices/y')],
    outcome: 'NotFound',
  },
  {
    service: 'identity',
    method: 'CreateSasToken',
    what: 'of the device',
    use: { args: { module_id: '', audience: 'hub/devices/x', lifetime_s: 60 } },
    requests: [
      {
        action: 'org.iotedge.identity1.sign-device',
        details: { module_id: '', audience: 'hub/devices/x' },
      },
    ],
    others: [argument('audience', '')],
    outcome: 'NotProvisioned',
  },
  {
    service: 'identity',
    method: 'Cancel',
    what: 'of nothing',
    use: { args: { id: 'idle' }, resolved: { operation: '', adopt: 'false' } },
    requests: [provision],
    others: [],
    outcome: 'NotFound',
  },
  ...['Provision', 'Reprovision'].flatMap((operation): readonly AuthorizedCall[] => [
    {
      service: 'identity',
      method: 'Cancel',
      what: `of ${operation}`,
      use: { args: { id: '' }, resolved: { operation, adopt: 'false' } },
      requests: [provision],
      others: [],
    },
    {
      service: 'identity',
      method: operation,
      use: {},
      requests: [provision],
      others: [],
      outcome: 'Unavailable',
    },
  ]),
  ...['CreateModuleIdentity', 'DeleteModuleIdentity'].map(
    (operation): AuthorizedCall => ({
      service: 'identity',
      method: 'Cancel',
      what: `of ${operation}`,
      use: {
        args: { id: `cancelled-${operation}` },
        resolved: { operation, adopt: 'true' },
      },
      requests: [
        {
          action: 'org.iotedge.identity1.manage',
          details: { module_id: `cancelled-${operation}`, adopt: 'true' },
        },
      ],
      others: [
        argument('module_id', 'other', 'id'),
        ['adopt', 'false', { resolved: { adopt: 'false' } }],
      ],
    }),
  ),
];
