/**
 * Every request of the management API with every documented status, in an order in which each finds what it needs: the
 * agent, and a module `probe` that the rows create and remove.
 */

import type { Endpoint, Shape } from './endpoint.ts';
import { logEndpoints, terminalLogEndpoints } from './logs.ts';
import { commonEndpoints, versions } from './refusals.ts';

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const none: Shape = /^no module "/;
const noName: Shape = /is not a module id/;
const otherName: Shape = /^the name in the body is another/;

export function module(status: RegExp, times: { readonly [member: string]: Shape }): Shape {
  return {
    id: /^id$/,
    name: 'string',
    type: /^docker$/,
    config: {
      settings: {
        image: 'string',
        imageHash: /^sha256:/,
        createOptions: { Labels: 'any' },
      },
      env: ['any'],
    },
    status: { runtimeStatus: { status }, ...times },
  };
}

const exit: Shape = { exitTime: time, statusCode: /^\d+$/ };
export const anyTimes = { 'startTime?': time, 'exitStatus?': exit };
export const identity: Shape = {
  moduleId: 'string',
  managedBy: /^(iotedge|IotEdge|)$/,
  generationId: /./,
  authType: /^sas$/,
};

/** A ModuleSpec of the rows' module. */
export interface Probe {
  readonly image: string;
  readonly createOptions: object;
}

interface SpecChanges {
  readonly [member: string]: unknown;
  readonly settings?: object;
  readonly env?: unknown;
}

/** What the tables need of the device. */
export interface ManagementFacts extends Probe {
  /** The generation id of `$edgeAgent`, which exists. */
  readonly generationId: string;
}

export function specs({ image, createOptions }: Probe) {
  return ({ settings, env, ...rest }: SpecChanges = {}) => ({
    name: 'probe',
    type: 'docker',
    imagePullPolicy: 'On-Create',
    config: {
      settings: { image, createOptions, ...settings },
      env: env ?? [{ key: 'A', value: '1' }],
    },
    ...rest,
  });
}

const refusedImage = '127.0.0.1:9/none:1';

/** Specifications that are refused, alike in POST, PUT and prepareupdate. */
export function badSpecs(probe: Probe): readonly (readonly [number, object | string])[] {
  const spec = specs(probe);
  const options = (createOptions: unknown) => spec({ settings: { createOptions } });
  return [
    ...['name', 'type', 'config'].map((member) => [422, spec({ [member]: undefined })] as const),
    ...['name', 'type', 'imagePullPolicy'].map((member) => [422, spec({ [member]: 7 })] as const),
    [422, spec({ config: {} })],
    [422, spec({ env: {} })],
    [422, spec({ env: [{ key: 'A' }] })],
    [422, '{"name":"probe","type":"docker","config":{"env":[],"env":[],"settings":{}}}'],
    [400, '{"name":"probe","type":"docker","config":{"settings":{"image":"a","image":"b"}}}'],
    [400, spec({ config: { settings: [] } })],
    [400, spec({ config: { settings: {} } })],
    [400, spec({ settings: { image: '' } })],
    [400, spec({ settings: { image: 'UPPER/a b' } })],
    [400, spec({ settings: { digest: 'x' } })],
    ...['', 'Docker', 'systemd', 'unknown'].map((type) => [400, spec({ type })] as const),
    ...['', 'always'].map((imagePullPolicy) => [400, spec({ imagePullPolicy })] as const),
    [400, spec({ env: ['A', 'A'].map((key) => ({ key, value: '' })) })],
    [400, spec({ env: [{ key: 'A=', value: '' }] })],
    ...[[], 7, 'x', '[]', { Unknown: 1 }, { HostConfig: [] }].map(
      (createOptions) => [400, options(createOptions)] as const,
    ),
    [403, options({ HostConfig: { Privileged: true } })],
    [403, options({ HostConfig: { Binds: ['/:/host'] } })],
  ];
}

/** The rows of modules. */
function moduleEndpoints(probe: Probe): readonly Endpoint[] {
  const spec = specs(probe);
  const sent = (status: RegExp): Shape => ({
    id: /^id$/,
    name: /^probe$/,
    type: /^docker$/,
    config: {
      settings: { image: 'string', createOptions: 'any', custom: 'number' },
      env: [{ key: /^A$/, value: /^1$/ }],
    },
    status: { runtimeStatus: { status } },
  });
  const full = spec({
    settings: { custom: 7, auth: { username: 'user', password: 'secret', more: 1 } },
  });
  const pulled = (imagePullPolicy: string) =>
    spec({ imagePullPolicy, settings: { image: refusedImage } });
  const all = { modules: [module(/^(running|stopped|failed)$/, anyTimes)] } as const;
  const names = ['a%20b', 'a%2Fb', '%C3%A4', '-a', '..%2F..%2Fversion', 'a'.repeat(129)];
  const of = (status: number, answer: Shape, requests: readonly string[], body?: object) =>
    requests.map((request) => ({ request, status, answer, ...(body && { body }) }));
  const actions = ['start', 'stop', 'restart'];
  return [
    { request: 'GET /modules', status: 200, answer: all },
    { request: 'GET /modules/', status: 200, answer: all },
    ...of(200, module(/^running$/, anyTimes), [
      'GET /modules/edgeAgent',
      'GET /modules/%24edgeAgent',
    ]),
    ...of(404, /^not found$/, [
      'GET /modules/edgeAgent/',
      'GET /modules//logs',
      'GET /modules/a/b/c',
    ]),
    ...of(404, none, ['GET /modules/absent', 'GET /modules/%24absent', 'DELETE /modules/absent']),
    ...of(404, none, [
      'GET /modules/absent/logs',
      ...actions.map((one) => `POST /modules/absent/${one}`),
    ]),
    { request: 'PUT /modules/absent', status: 404, answer: none, body: spec({ name: 'absent' }) },
    ...names.flatMap((name) => [
      ...of(400, noName, [
        `GET /modules/${name}`,
        `DELETE /modules/${name}`,
        `GET /modules/${name}/logs`,
      ]),
      ...of(
        400,
        noName,
        actions.map((one) => `POST /modules/${name}/${one}`),
      ),
      ...of(400, noName, [`PUT /modules/${name}`, `POST /modules/${name}/prepareupdate`], spec()),
    ]),
    ...['', 'a/b', 'a b', 'ä', '-a', '$a', 'a'.repeat(129)].map((name) => ({
      request: 'POST /modules',
      status: 400,
      body: spec({ name }),
    })),
    // creation
    ...badSpecs(probe).map(([status, body]) => ({ request: 'POST /modules', status, body })),
    { request: 'POST /modules', status: 404, body: pulled('never') },
    { request: 'POST /modules', status: 500, answer: /127\.0\.0\.1:9/, body: pulled('on-CREATE') },
    { request: 'POST /modules', status: 409, body: spec({ name: 'edgeAgent' }) },
    { request: 'GET /modules/probe', status: 404, answer: none },
    { request: 'POST /modules/', status: 201, answer: sent(/^stopped$/), body: full },
    { request: 'POST /modules', status: 409, body: spec() },
    { request: 'GET /modules/probe', status: 200, answer: module(/^stopped$/, {}) },
    // start, stop, restart
    { request: 'POST /modules/probe/start', status: 422, body: '{' },
    ...[undefined, '{', '{}'].map((body) => ({
      request: 'POST /modules/probe/start',
      status: 204,
      ...(body !== undefined && { body, type: body === '{' ? 'text/plain' : '' }),
    })),
    {
      request: 'GET /modules/probe',
      status: 200,
      answer: module(/^running$/, { startTime: time }),
    },
    ...['stop', 'stop', 'start', 'restart'].map((action) => ({
      request: `POST /modules/probe/${action}`,
      status: 204,
    })),
    {
      request: 'GET /modules/probe',
      status: 200,
      answer: module(/^running$/, { startTime: time, exitStatus: exit }),
    },
    ...['start', 'logs', 'prepareupdate'].map((last) => ({
      request: `DELETE /modules/probe/${last}`,
      status: 400,
      answer: /^method not allowed$/,
    })),
    // preparation
    ...badSpecs(probe).map(([status, body]) => ({
      request: 'POST /modules/probe/prepareupdate',
      status,
      body,
    })),
    { request: 'POST /modules/probe/prepareupdate', status: 400, answer: /no JSON body/ },
    { request: 'POST /modules/other/prepareupdate', status: 400, answer: otherName, body: spec() },
    { request: 'POST /modules/probe/prepareupdate', status: 500, body: pulled('on-create') },
    { request: 'POST /modules/probe/prepareupdate', status: 204, body: pulled('never') },
    { request: 'POST /modules/probe/prepareupdate', status: 204, body: spec() },
    // update
    { request: 'PUT /modules/probe', status: 415, body: spec(), type: 'text/plain' },
    { request: 'PUT /modules/probe', status: 422, answer: /no body/ },
    { request: 'PUT /modules/probe', status: 422, body: '{' },
    { request: 'PUT /modules/other', status: 400, answer: otherName, body: spec() },
    ...['True', '1', '', 'yes'].map((start) => ({
      request: `PUT /modules/probe?start=${start}`,
      status: 400,
      answer: /^start is neither/,
      body: spec(),
    })),
    ...badSpecs(probe).map(([status, body]) => ({
      request: 'PUT /modules/probe?start=true',
      status,
      body,
    })),
    { request: 'PUT /modules/probe', status: 500, body: pulled('on-create') },
    { request: 'PUT /modules/probe', status: 404, body: pulled('never') },
    {
      request: 'GET /modules/probe',
      status: 200,
      answer: module(/^running$/, { startTime: time, exitStatus: exit }),
    },
    {
      request: 'PUT /modules/probe?start=true',
      status: 201,
      answer: sent(/^running$/),
      body: full,
    },
    {
      request: 'PUT /modules/probe?start=false',
      status: 201,
      answer: sent(/^stopped$/),
      body: full,
    },
    { request: 'POST /modules/probe/start', status: 204 },
    ...logEndpoints,
    { request: 'DELETE /modules/probe', status: 204 },
    { request: 'DELETE /modules/probe', status: 404, answer: none },
    { request: 'GET /modules/probe', status: 404, answer: none },
    {
      request: 'POST /modules',
      status: 201,
      body: spec({ settings: { createOptions: { ...probe.createOptions, Tty: true } } }),
    },
    { request: 'POST /modules/probe/start', status: 204 },
    ...terminalLogEndpoints,
    { request: 'DELETE /modules/probe', status: 204 },
    // its log is kept nowhere, and its command does not exist
    {
      request: 'POST /modules',
      status: 201,
      body: spec({
        settings: {
          createOptions: { Cmd: ['absent'], HostConfig: { LogConfig: { Type: 'none' } } },
        },
      }),
    },
    { request: 'POST /modules/probe/start', status: 400, answer: /absent/ },
    { request: 'GET /modules/probe/logs', status: 501 },
    { request: 'DELETE /modules/probe', status: 204 },
  ];
}

function identityEndpoints(generationId: string): readonly Endpoint[] {
  const all = { identities: [identity] } as const;
  const manager = { managedBy: 'IotEdge' };
  return [
    { request: 'GET /identities', status: 200, answer: all },
    { request: 'GET /identities/', status: 200, answer: all },
    { request: 'GET /identities/probe', status: 400, answer: /^method not allowed$/ },
    { request: 'DELETE /identities/probe/', status: 404, answer: /^not found$/ },
    { request: 'POST /identities', status: 400, answer: /no JSON body/ },
    ...[{}, { moduleId: 7 }, { moduleId: 'probe', managedBy: 7 }].map((body) => ({
      request: 'POST /identities/',
      status: 422,
      body,
    })),
    ...['', 'a b', 'a/b', 'ä', 'a'.repeat(129)].map((moduleId) => ({
      request: 'POST /identities',
      status: 400,
      body: { moduleId },
    })),
    {
      request: 'POST /identities/',
      status: 200,
      answer: identity,
      body: { moduleId: 'probe', ...manager, unknown: 1 },
    },
    { request: 'POST /identities', status: 409, body: { moduleId: 'camera', ...manager } },
    { request: 'PUT /identities/probe', status: 409, body: { generationId: '1', ...manager } },
    { request: 'PUT /identities/absent', status: 404, body: { generationId: '1', ...manager } },
    { request: 'PUT /identities/a%20b', status: 400, body: { generationId: '1', ...manager } },
    { request: 'PUT /identities/probe', status: 415, body: '{}', type: 'text/plain' },
    { request: 'PUT /identities/probe', status: 422, answer: /no body/ },
    { request: 'PUT /identities/probe', status: 422, body: {} },
    {
      request: 'PUT /identities/%24edgeAgent',
      status: 200,
      answer: identity,
      body: { generationId, ...manager },
    },
    { request: 'DELETE /identities/camera', status: 409 },
    { request: 'DELETE /identities/a%20b', status: 400 },
    { request: 'DELETE /identities/probe', status: 204 },
    { request: 'DELETE /identities/probe', status: 404 },
  ];
}

const systemEndpoints: readonly Endpoint[] = [
  {
    request: 'GET /systeminfo',
    status: 200,
    answer: {
      osType: /^Linux$/,
      kernel_release: 'string',
      kernel_version: 'string',
      operating_system: 'string',
      operating_system_version: 'string',
      architecture: /^\w+$/,
      cpus: 'number',
      total_memory: 'number',
      virtualized: 'string',
      version: 'string',
      server_version: 'string',
      provisioning: {
        type: /^ProvisioningType$/,
        dynamicReprovisioning: 'boolean',
        alwaysReprovisionOnStartup: 'boolean',
      },
    },
  },
  {
    request: 'GET /systeminfo/resources',
    status: 200,
    answer: {
      host_uptime: 'number',
      process_uptime: 'number',
      used_cpu: 'number',
      used_ram: 'number',
      total_ram: 'number',
      disks: [
        {
          name: 'string',
          available_space: 'number',
          total_space: 'number',
          file_system: 'string',
          file_type: 'string',
        },
      ],
      docker_stats: /^\[\{/,
    },
  },
  {
    request:
      'GET /systeminfo/supportbundle?edge_runtime_only=true&since=1h&host=x&iothub_hostname=y',
    status: 200,
    answer: /^PK/,
  },
  ...['since=x', 'until=2026-01-02', 'edge_runtime_only=1', 'edge_runtime_only='].map((query) => ({
    request: `GET /systeminfo/supportbundle?${query}`,
    status: 400,
  })),
  ...['', '/resources', '/supportbundle'].flatMap((path) => [
    { request: `GET /systeminfo${path}/`, status: 404, answer: /^not found$/ },
    { request: `POST /systeminfo${path}`, status: 400, answer: /^method not allowed$/ },
  ]),
  { request: 'GET /device/reprovision', status: 400, answer: /^method not allowed$/ },
  { request: 'POST /device/reprovision/', status: 404, answer: /^not found$/ },
];

/** Paths with the version that they came with; a request that changes nothing, and its status from then on. */
const since = [
  ['2018-06-28', 'GET /modules/absent', 404, none],
  ['2018-06-28', 'GET /modules/absent/logs', 404, none],
  ['2018-06-28', 'POST /modules/absent/start', 404, none],
  ['2018-06-28', 'DELETE /modules/absent', 404, none],
  ['2018-06-28', 'DELETE /identities/a%20b', 400, noName],
  ['2018-06-28', 'POST /systeminfo', 400, /^method not allowed$/],
  ['2019-01-30', 'POST /modules/absent/prepareupdate', 400, /no JSON body/],
  ['2019-10-22', 'GET /device/reprovision', 400, /^method not allowed$/],
  ['2019-11-05', 'POST /systeminfo/resources', 400, /^method not allowed$/],
  ['2020-07-07', 'GET /systeminfo/supportbundle?since=x', 400, /since/],
] as const;

const versionEndpoints: readonly Endpoint[] = since.flatMap(([first, request, status, answer]) =>
  versions.map((version) => {
    const separator = request.includes('?') ? '&' : '?';
    const found = version < first ? { status: 404, answer: /^not found$/ } : { status, answer };
    return { request: `${request}${separator}api-version=${version}`, ...found };
  }),
);

export function managementEndpoints(facts: ManagementFacts): readonly Endpoint[] {
  return [
    ...commonEndpoints({ read: '/modules', write: '/modules' }),
    ...versionEndpoints,
    ...moduleEndpoints(facts),
    ...identityEndpoints(facts.generationId),
    ...systemEndpoints,
    { request: 'POST /device/reprovision', status: 204 },
  ];
}
