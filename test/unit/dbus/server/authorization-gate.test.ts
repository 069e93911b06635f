import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuthorizationRequest } from '../../../../src/dbus/server/authorization-gate.ts';
import { AuthorizationGate } from '../../../../src/dbus/server/authorization-gate.ts';
import { callerLeft, IncomingCall } from '../../../../src/dbus/server/call.ts';
import { Serving } from '../../../../src/dbus/server/serve.ts';
import { messageFlag } from '../../../../src/dbus/wire/message.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { deadline } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus authorization gate');

const made = (flags = 0) =>
  new IncomingCall(callWith('', [], flags), { sender: ':1.7', uid: 7, gids: [], pid: undefined });
const requests: readonly AuthorizationRequest[] = ['a', 'b', 'c'].map((action) => ({
  action,
  details: {},
}));
const refusal = new ServiceError('AccessDenied', 'no');

/** Makes three authorization requests, each decided in one of these ways; returns the requests, the audit and the outcome. */
async function decide(...ways: readonly ('now' | 'later' | 'no' | 'no, later')[]) {
  const requested: string[] = [];
  const audited: string[] = [];
  const gate = new AuthorizationGate(
    {
      authorize: ({ action }) => {
        const way = ways[requested.length];
        requested.push(action);
        if (way === 'no') throw refusal;
        if (way === 'now') return undefined;
        return way === 'later' ? Promise.resolve() : Promise.reject(refusal);
      },
    },
    (_call, { action }, error) => void audited.push(error === undefined ? action : `not ${action}`),
  );
  const outcome = await failureOf((async () => gate.ask(requests, made()))());
  return { requested: requested.join(''), audited: audited.join(', '), outcome };
}

test('make every request in order, whether it is decided synchronously or later, and audit each decision', async () => {
  const all = { requested: 'abc', audited: 'a, b, c', outcome: 'no failure' };
  assert.equal(await decide('now', 'now', 'now'), all);
  assert.equal(await decide('later', 'later', 'later'), all);
  assert.equal(await decide('now', 'later', 'now'), all);
});

test('end with the first refusal, which is audited', async () => {
  for (const no of ['no', 'no, later'] as const) {
    for (const yes of ['now', 'later'] as const) {
      const code = 'AccessDenied';
      assert.equal(await decide(no), { requested: 'a', audited: 'not a', outcome: code });
      assert.equal(await decide(yes, no), { requested: 'ab', audited: 'a, not b', outcome: code });
      assert.equal(await decide(yes, yes, no), {
        requested: 'abc',
        audited: 'a, b, not c',
        outcome: code,
      });
    }
  }
});

test('decide synchronously when every decision is synchronous', () => {
  const gate = new AuthorizationGate({ authorize: () => undefined }, () => undefined);
  assert.is(gate.ask(requests, made()), undefined);
  assert.is(gate.ask([], made()), undefined);
});

test('store the first request id of a call', () => {
  const given = made();
  given.serveRequest('r-1');
  given.serveRequest('r-2');
  assert.is(given.requestId, 'r-1');
  const own = made();
  own.serveRequest(undefined);
  const id = own.requestId;
  own.serveRequest('r-1');
  assert.is(own.requestId, id);
  assert.is.not(made().requestId, id);
});

test('know whether interactive authorization is allowed', () => {
  assert.is(made(messageFlag.allowInteractive).interactive, true);
  assert.is(made(messageFlag.noReplyExpected | messageFlag.noAutoStart).interactive, false);
});

test('abort the signal of a call once, with the first reason, also when the signal is requested later', () => {
  const early = made();
  const { signal } = early;
  assert.is(signal.aborted, false);
  early.abandon(callerLeft);
  early.abandon();
  assert.ok(signal.aborted && signal.reason === callerLeft);
  const late = made();
  late.abandon(callerLeft);
  late.abandon(new ServiceError('Failed', 'another'));
  assert.ok(late.signal.aborted && late.signal.reason === callerLeft);
});

test('end the calls made on behalf of a call when the last of those ends', async () => {
  const serving = new Serving(
    { handlers: {}, resolvers: {}, authorizer: { authorize: () => undefined } } as never,
    { decided: () => undefined, describe: () => ({}) },
  );
  await deadline(10_000, serving.ended(), 'the end of none');
  serving.enter();
  serving.enter();
  let hasEnded = false;
  const ended = serving.ended().then(() => (hasEnded = true));
  serving.leave();
  await new Promise((resolve) => void setImmediate(resolve));
  assert.is(hasEnded, false);
  serving.leave();
  await deadline(10_000, ended, 'the end');
});

test.run();
