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

const test = suite('dbus decisions and calls');

const made = (flags = 0) =>
  new IncomingCall(callWith('', [], flags), { sender: ':1.7', uid: 7, gids: [], pid: undefined });
const questions: readonly AuthorizationRequest[] = ['a', 'b', 'c'].map((action) => ({
  action,
  details: {},
}));
const refusal = new ServiceError('AccessDenied', 'no');

/** Asks three questions, of which each is answered in one of these ways; what was asked, noted and came of it. */
async function decide(...ways: readonly ('now' | 'later' | 'no' | 'no, later')[]) {
  const asked: string[] = [];
  const noted: string[] = [];
  const gate = new AuthorizationGate(
    {
      authorize: ({ action }) => {
        const way = ways[asked.length];
        asked.push(action);
        if (way === 'no') throw refusal;
        if (way === 'now') return undefined;
        return way === 'later' ? Promise.resolve() : Promise.reject(refusal);
      },
    },
    (_call, { action }, error) => void noted.push(error === undefined ? action : `not ${action}`),
  );
  const outcome = await failureOf((async () => gate.ask(questions, made()))());
  return { asked: asked.join(''), noted: noted.join(', '), outcome };
}

test('ask every question in order, whether it is answered at once or later, and note each answer', async () => {
  const all = { asked: 'abc', noted: 'a, b, c', outcome: 'no failure' };
  assert.equal(await decide('now', 'now', 'now'), all);
  assert.equal(await decide('later', 'later', 'later'), all);
  assert.equal(await decide('now', 'later', 'now'), all);
});

test('end with the first refusal, which is noted', async () => {
  for (const no of ['no', 'no, later'] as const) {
    for (const yes of ['now', 'later'] as const) {
      const code = 'AccessDenied';
      assert.equal(await decide(no), { asked: 'a', noted: 'not a', outcome: code });
      assert.equal(await decide(yes, no), { asked: 'ab', noted: 'a, not b', outcome: code });
      assert.equal(await decide(yes, yes, no), {
        asked: 'abc',
        noted: 'a, b, not c',
        outcome: code,
      });
    }
  }
});

test('decide at once when every answer comes at once', () => {
  const gate = new AuthorizationGate({ authorize: () => undefined }, () => undefined);
  assert.is(gate.ask(questions, made()), undefined);
  assert.is(gate.ask([], made()), undefined);
});

test('keep the first request id of a call', () => {
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

test('know whether a person may be asked', () => {
  assert.is(made(messageFlag.allowInteractive).interactive, true);
  assert.is(made(messageFlag.noReplyExpected | messageFlag.noAutoStart).interactive, false);
});

test('abort the signal of a call once, with the first reason, also when it is asked for later', () => {
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

test('end what calls are served with when the last of them has ended', async () => {
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
