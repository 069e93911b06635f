/** Requests for logs, with their documented statuses. */
import type { Endpoint } from './endpoint.ts';

/** Behind a header of 8 bytes with the number of the stream and the length. */
const printed = /^[^ -~]{8}printed\n/;
const plain = /^text\/plain$/;

/** Queries that no log takes. */
const refused: readonly Endpoint[] = [
  'tail=-1',
  'tail=',
  'tail=1.5',
  'tail=some',
  'follow=',
  'follow=1',
  'follow=True',
  'timestamps=1',
  'since=',
  'since=2026-01-02',
  'since=2026-01-02T03:04:05',
  'since=-1',
  'since=yesterday',
  'since=2026-02-30T00:00:00Z',
  'until=x',
  'until=1.5',
].map((query) => ({ request: `GET /modules/probe/logs?${query}`, status: 400 }));

/** The rows of the log of a module. */
export const logEndpoints: readonly Endpoint[] = [
  ...refused,
  { request: 'GET /modules/probe/logs', status: 200, answer: printed, answerType: plain },
  ...['tail=all', 'tail=1', 'tail=99999999999999', 'follow=false', 'timestamps=false'].map(
    (query) => ({
      request: `GET /modules/probe/logs?${query}`,
      status: 200,
      answer: printed,
      answerType: plain,
    }),
  ),
  { request: 'GET /modules/probe/logs?tail=0', status: 200, answer: /^$/ },
  {
    request: 'GET /modules/probe/logs?timestamps=true',
    status: 200,
    answer: /^[^ -~]{7}'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z printed\n/,
  },
  ...[
    '0',
    '1700000000',
    '2s',
    '90m',
    '1d',
    '1%20day',
    '1%20day%202%20hours',
    '2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05.123456789Z',
    '2026-01-02T03:04:05%2B01:00',
    '2026-01-02t03:04:05.5z',
  ].map((since) => ({
    request: `GET /modules/probe/logs?since=${since}`,
    status: 200,
    answer: /^/,
  })),
  { request: 'GET /modules/probe/logs?since=1h', status: 200, answer: printed },
  ...['until=1h', 'follow=true&until=1h', 'follow=true&until=1700000000'].map((query) => ({
    request: `GET /modules/probe/logs?${query}`,
    status: 200,
    answer: /^$/,
  })),
];

/** The rows of the log of a terminal, which has no headers between its lines. */
export const terminalLogEndpoints: readonly Endpoint[] = [
  ...refused,
  ...['', '?tail=1', '?follow=false', '?since=1h'].map((query) => ({
    request: `GET /modules/probe/logs${query}`,
    status: 200,
    answer: /^printed\r\n$/,
    answerType: plain,
  })),
  {
    request: 'GET /modules/probe/logs?timestamps=true',
    status: 200,
    answer: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z printed\r\n$/,
    answerType: plain,
  },
  { request: 'GET /modules/probe/logs?tail=0', status: 200, answer: /^$/, answerType: plain },
];
