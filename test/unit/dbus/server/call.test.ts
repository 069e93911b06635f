import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callerLeft, IncomingCall } from '../../../../src/dbus/server/call.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus call');

const caller = { sender: ':1.7', uid: 1000, gids: [], pid: undefined };
const arrived = (): IncomingCall => new IncomingCall(callWith('', []), caller);

test('says that it is aborted before and without a signal', () => {
  const call = arrived();
  assert.is(call.cancellation.aborted, false);
  call.abandon(callerLeft);
  assert.is(call.cancellation.aborted, true);
});

test('aborts its signal with the reason, also one that is asked for afterwards', () => {
  const early = arrived();
  const { signal } = early;
  early.abandon(callerLeft);
  assert.is(signal.reason, callerLeft);
  const late = arrived();
  late.abandon(callerLeft);
  assert.is(late.signal.reason, callerLeft);
});

test('tells who listens of the end, and nobody who has stopped listening', () => {
  const call = arrived();
  const told: string[] = [];
  const stops = (): void => void told.push('stopped');
  call.cancellation.addEventListener('abort', () => told.push('listens'), { once: true });
  call.cancellation.addEventListener('abort', stops);
  call.cancellation.removeEventListener('abort', stops);
  call.abandon(callerLeft);
  call.abandon();
  call.cancellation.addEventListener('abort', () => told.push('too late'));
  assert.equal(told, ['listens']);
  assert.is(call.cancellation.reason, callerLeft);
});

test.run();
