import { type AuthorizedCall, argument } from './call.ts';

const config = (image: string, options: object = {}): string =>
  JSON.stringify({ image, createOptions: options });
const elevating = { HostConfig: { Privileged: true } };

const runDetails = (module: string) => ({ module, type: '', image: '', elevated: '' });

export const moduleCalls: readonly AuthorizedCall[] = [
  ...(
    [
      ['CreateModule', 'Unavailable'],
      ['UpdateModule', 'NotFound'],
      ['PrepareUpdate', 'Unavailable'],
    ] as const
  ).map(
    ([method, outcome]): AuthorizedCall => ({
      service: 'modules',
      method,
      use: {
        args: {
          name: `by-${method}`,
          type: 'docker',
          config_json: config('localhost/web:1', elevating),
          env: {},
        },
        resolved: { image: 'localhost/web:1', elevated: 'true' },
      },
      requests: [
        {
          action: 'org.iotedge.modules1.run',
          details: {
            module: `by-${method}`,
            type: 'docker',
            image: 'localhost/web:1',
            elevated: 'true',
          },
        },
      ],
      others: [
        argument('module', 'created2', 'name'),
        [
          'image',
          'localhost/web:2',
          {
            args: { config_json: config('localhost/web:2', elevating) },
            resolved: { image: 'localhost/web:2' },
          },
        ],
        [
          'elevated',
          'false',
          { args: { config_json: config('localhost/web:1') }, resolved: { elevated: 'false' } },
        ],
      ],
      outcome,
    }),
  ),
  ...['Start', 'Stop', 'Restart'].flatMap((method): readonly AuthorizedCall[] => [
    {
      service: 'modules',
      method,
      use: { args: { name: `to-${method}` } },
      requests: [{ action: 'org.iotedge.modules1.control', details: { module: `to-${method}` } }],
      others: [argument('module', 'other', 'name')],
      outcome: 'NotFound',
    },
    {
      service: 'modules',
      method: 'Cancel',
      what: `of ${method}`,
      use: {
        args: { id: `cancelled-${method}` },
        resolved: { operation: method, type: '', image: '', elevated: '' },
      },
      requests: [
        { action: 'org.iotedge.modules1.control', details: { module: `cancelled-${method}` } },
      ],
      others: [argument('module', 'other', 'id')],
    },
  ]),
  ...['DeleteModule', 'GetConfig'].map(
    (method): AuthorizedCall => ({
      service: 'modules',
      method,
      use: { args: { name: `for-${method}` } },
      requests: [{ action: 'org.iotedge.modules1.run', details: runDetails(`for-${method}`) }],
      others: [argument('module', 'other', 'name')],
      outcome: 'NotFound',
    }),
  ),
  ...['GetLogs', 'OpenLog'].map(
    (method): AuthorizedCall => ({
      service: 'modules',
      method,
      use: { args: { name: 'logged' } },
      requests: [{ action: 'org.iotedge.modules1.read-logs', details: { module: 'logged' } }],
      others: [argument('module', 'logged2', 'name')],
      outcome: 'NotFound',
    }),
  ),
  {
    service: 'modules',
    method: 'Cancel',
    what: 'of nothing',
    use: {
      args: { id: 'idle' },
      resolved: { operation: '', type: '', image: '', elevated: '' },
    },
    requests: [{ action: 'org.iotedge.modules1.control', details: { module: 'idle' } }],
    others: [argument('module', 'idle2', 'id')],
    outcome: 'NotFound',
  },
  ...['CreateModule', 'UpdateModule', 'PrepareUpdate'].map(
    (verb): AuthorizedCall => ({
      service: 'modules',
      method: 'Cancel',
      what: `of ${verb}`,
      use: {
        args: { id: 'created' },
        resolved: {
          operation: verb,
          type: 'docker',
          image: 'localhost/web:1',
          elevated: 'true',
        },
      },
      requests: [
        {
          action: 'org.iotedge.modules1.run',
          details: {
            module: 'created',
            type: 'docker',
            image: 'localhost/web:1',
            elevated: 'true',
          },
        },
      ],
      others: [
        argument('module', 'created2', 'id'),
        ['type', 'systemd', { resolved: { type: 'systemd' } }],
        ['image', 'localhost/web:2', { resolved: { image: 'localhost/web:2' } }],
        ['elevated', 'false', { resolved: { elevated: 'false' } }],
      ],
    }),
  ),
  {
    service: 'modules',
    method: 'Cancel',
    what: 'of DeleteModule',
    use: {
      args: { id: 'removed' },
      resolved: { operation: 'DeleteModule', type: '', image: '', elevated: '' },
    },
    requests: [{ action: 'org.iotedge.modules1.run', details: runDetails('removed') }],
    others: [argument('module', 'removed2', 'id')],
  },
];
