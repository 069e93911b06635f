/** Every request of the workload API with every documented status, as the agent sends it. */

import type { Endpoint, Shape } from './endpoint.ts';
import { commonEndpoints } from './refusals.ts';

const bundle: Shape = { certificate: 'string' };
const certificate: Shape = {
  privateKey: { type: /^key$/, bytes: /^-----BEGIN PRIVATE KEY-----\n/ },
  certificate: /^-----BEGIN CERTIFICATE-----\n/,
  expiration: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*(Z|\+00:00)$/,
};
const iv = 'AAAAAAAAAAA=';

/** The verbs below the generation, with the members that each needs and what it answers. */
const verbs = [
  ['sign', { data: 'AAAA' }, { digest: /^[A-Za-z0-9+/]{43}=$/ }],
  [
    'encrypt',
    { plaintext: 'AAAA', initializationVector: iv },
    { ciphertext: /^[A-Za-z0-9+/]+=*$/ },
  ],
  ['decrypt', { ciphertext: 'AAAA', initializationVector: iv }, undefined],
  ['certificate/server', { commonName: 'edgeAgent' }, certificate],
] as const;

/** `generationId` is that of `$edgeAgent`. */
export function workloadEndpoints(generationId: string): readonly Endpoint[] {
  const own = `/modules/%24edgeAgent/genid/${encodeURIComponent(generationId)}`;
  return [
    ...commonEndpoints({ read: '/modules', write: `${own}/sign` }),
    { request: 'GET /modules/', status: 200, answer: { modules: ['any'] } },
    { request: 'GET /trust-bundle', status: 200, answer: bundle },
    { request: 'GET /manifest-trust-bundle', status: 200, answer: bundle },
    ...['/trust-bundle/', '/manifest-trust-bundle/', `${own}/sign/`, '/systeminfo'].map((path) => ({
      request: `GET ${path}`,
      status: 404,
      answer: /^not found$/,
    })),
    ...verbs.flatMap(([verb, body, answer]): readonly Endpoint[] => {
      const path = `${own}/${verb}`;
      const status = verb === 'certificate/server' ? 201 : 200;
      return [
        ...(answer === undefined ? [] : [{ request: `POST ${path}`, status, answer, body }]),
        { request: `POST ${path}`, status: 400, answer: /no JSON body/ },
        // the body before the caller
        ...[path, path.replace('%24edgeAgent', 'other')].map((one) => ({
          request: `POST ${one}`,
          status: 422,
          body: {},
        })),
        { request: `POST ${path.replace('%24edgeAgent', 'other')}`, status: 403, body },
        { request: `POST ${path.replace(generationId, 'another')}`, status: 403, body },
        { request: `GET ${path}`, status: 400, answer: /^method not allowed$/ },
      ];
    }),
    ...['QQ', '!', 'AA A'].map((data) => ({
      request: `POST ${own}/sign`,
      status: 400,
      answer: /base64/,
      body: { data },
    })),
    {
      request: `POST ${own}/sign`,
      status: 200,
      body: { data: '', keyId: 'any', algo: 'HMACSHA256' },
    },
    {
      request: `POST ${own}/decrypt`,
      status: 400,
      body: { ciphertext: 'A', initializationVector: iv },
    },
    {
      request: `POST ${own}/certificate/server`,
      status: 403,
      body: { commonName: 'www.example.com' },
    },
    {
      request: `POST ${own}/certificate/server`,
      status: 400,
      body: { commonName: 'edgeAgent', expiration: 'tomorrow' },
    },
    ...['2031-01-02T03:04:05Z', '2031-01-02T03:04:05.1234567Z', '2031-01-02T03:04:05+01:00'].map(
      (expiration) => ({
        request: `POST ${own}/certificate/server`,
        status: 201,
        answer: certificate,
        body: { commonName: 'edgeAgent', expiration },
      }),
    ),
    {
      request: 'POST /modules/%24edgeAgent/certificate/identity',
      status: 201,
      answer: certificate,
    },
    { request: 'POST /modules/edgeAgent/certificate/identity', status: 201, body: {} },
    { request: 'POST /modules/other/certificate/identity', status: 403 },
    { request: 'POST /modules/a%20b/certificate/identity', status: 400 },
  ];
}

/** What a process of no module gets on the host's socket, whatever it asks. */
export function strangerEndpoints(rows: readonly Endpoint[]): readonly Endpoint[] {
  return rows.map((row) => ({ ...row, status: 403, answer: /only processes of/ }));
}
