/** What both APIs have in common: versions, paths, methods, content types and bodies, in the order of their refusals. */
import type { Endpoint } from './endpoint.ts';

export const versions: readonly string[] = [
  '2018-06-28',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2021-12-07',
  '2022-08-03',
];

/** A read that succeeds, and a path that needs a body. */
export interface CommonPaths {
  readonly read: string;
  readonly write: string;
}

export function commonEndpoints({ read, write }: CommonPaths): readonly Endpoint[] {
  const v = `api-version=${versions[0]}`;
  return [
    ...versions.map((one) => ({ request: `GET ${read}?api-version=${one}`, status: 200 })),
    { request: `GET ${read}`, status: 400, answer: /^api-version not specified$/, asItIs: true },
    { request: 'GET /absent', status: 400, answer: /^api-version not spec/, asItIs: true },
    { request: `GET ${read}?API-VERSION=${versions[0]}`, status: 400, asItIs: true },
    ...['', '2021-05-11', '2018-6-28', 'latest', '2018-06-28%20', '9'.repeat(500)].map((one) => ({
      request: `GET ${read}?api-version=${one}`,
      status: 400,
      answer: /^invalid api-version "/,
    })),
    { request: `GET ${read}?api-version=x&${v}`, status: 200 },
    { request: `GET ${read}?${v}&api-version=x`, status: 400, answer: /invalid api-version "x"/ },
    { request: `GET ${read}?unknown=1&${v}&unknown`, status: 200 },
    { request: `GET http://somewhere${read}?${v}`, status: 200 },
    { request: `GET ${read.toUpperCase()}`, status: 404, answer: /^not found$/ },
    { request: `GET /${read}`, status: 404, answer: /^not found$/ },
    { request: `GET ${read}//x`, status: 404, answer: /^not found$/ },
    { request: 'GET /', status: 404, answer: /^not found$/ },
    { request: `GET ${read}/%zz`, status: 400, answer: /percent-encoding/ },
    { request: `PATCH ${read}`, status: 400, answer: /^method not allowed$/ },
    { request: `OPTIONS ${read}`, status: 400, answer: /^method not allowed$/ },
    { request: `PUT ${write}x`, status: 404, answer: /^not found$/ },
    // the method before the body, that before its content
    { request: `PATCH ${write}`, status: 400, answer: /^method not allowed$/, body: '{' },
    { request: `POST ${write}`, status: 400, answer: /no JSON body/ },
    {
      request: `POST ${write}`,
      status: 400,
      answer: /no JSON body/,
      body: '{',
      type: 'text/plain',
    },
    { request: `POST ${write}`, status: 422, answer: /not JSON/, body: '{' },
    { request: `POST ${write}`, status: 422, answer: /not JSON/, body: '{', type: '' },
    {
      request: `POST ${write}`,
      status: 422,
      body: '{}',
      type: 'application/json; charset=utf-8',
    },
    { request: `POST ${write}`, status: 422, answer: /"name" twice/, body: '{"name":1,"name":2}' },
    ...['null', '[]', '7', '""', '\ufeff{}', '{"a":1}'].map((body) => ({
      request: `POST ${write}`,
      status: 422,
      body,
    })),
  ];
}
