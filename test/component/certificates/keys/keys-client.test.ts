/** The calls to the Keys service, and the interpretation of its replies. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BusKeys } from '../../../../src/certificates/keys/keys-client.ts';
import type { Bus, CallOptions, MethodCall } from '../../../../src/dbus/bus.ts';
import { callerLeft, IncomingCall } from '../../../../src/dbus/server/call.ts';
import { Variant, variant } from '../../../../src/dbus/wire/variant.ts';
import { type ErrorCode, ServiceError } from '../../../../src/errors.ts';
import { keyInterface, keysService } from '../../../../src/interfaces/keys.ts';
import { spkiOf } from '../../../../src/x509/algorithm.ts';
import { failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';
import { callWith } from '../../../support/wire/messages.ts';
import { makeKey } from '../../../support/x509/openssl.ts';

const test = suite('the signing keys of certificates');
const [spki, other] = [spkiOf(makeKey('ec-p384')), spkiOf(makeKey('ec-p384'))];

/** A bus on which the Keys service replies like this. */
function keysOf(
  halves: Readonly<Record<string, Buffer | ErrorCode>>,
  kinds: readonly string[] = [],
) {
  const calls: { readonly call: MethodCall; readonly options: CallOptions }[] = [];
  const bus = {
    call(call: MethodCall, options: CallOptions): Promise<readonly unknown[]> {
      calls.push({ call, options });
      if (options.signal?.aborted === true) {
        return Promise.reject(new ServiceError('Unavailable', 'the caller left'));
      }
      if (call.member === 'Sign') return Promise.resolve([Buffer.from('signature')]);
      if (call.member === 'GetManagedObjects') {
        const objects = Object.keys(halves).map((id, at) => {
          const properties = {
            KeyId: variant('s', id),
            Kind: new Variant('s', kinds[at] ?? 'pair'),
          };
          return [`/${at}`, { [keyInterface.name]: properties }];
        });
        return Promise.resolve([{ ...Object.fromEntries(objects), '/odd': 5 }]);
      }
      const half = halves[String(call.body?.[0])] ?? 'NotFound';
      if (typeof half === 'string') return Promise.reject(new ServiceError(half, 'no half'));
      return Promise.resolve([half]);
    },
  } as unknown as Bus; // nothing else of it is used
  const recorded = () => calls.splice(0).map(({ call }) => [call.member, call.body?.[0]].join(' '));
  return { keys: new BusKeys(bus), calls, recorded };
}

test('sign with the mechanism of the curve, and name the expected public half', async () => {
  const { keys, calls } = keysOf({});
  const signer = keys.signer('ca', spki, via);
  assert.is(signer.algorithm, 'ecdsa-sha384');
  assert.equal(await signer.sign(Buffer.from('message')), Buffer.from('signature'));
  const [{ call, options } = { call: undefined, options: undefined }] = calls;
  assert.is(call?.destination, keysService.busName);
  const [id, mechanism, data, details] = call?.body ?? [];
  assert.equal([id, mechanism, data], ['ca', 'ecdsa-sha384', Buffer.from('message')]);
  const given = new Map(Object.entries(details as Readonly<Record<string, Variant>>));
  assert.equal(given.get('public_key')?.value, createHash('sha256').update(spki).digest());
  assert.is(given.get('request_id')?.value, via.requestId);
  assert.is(options?.signal, via.signal);
});

test('are looked up by their list once that is known, not by a call for each certificate', async () => {
  const { keys, recorded } = keysOf({ first: spki, second: other });
  const lookup = keys.lookup(via);
  assert.is(await lookup.find(other, ['no-key']), 'second');
  assert.equal(recorded(), [
    'GetPublicKey no-key',
    'GetManagedObjects ',
    'GetPublicKey first',
    'GetPublicKey second',
  ]);
  assert.is(await lookup.find(spki, ['no-other', 'second', 'first']), 'first');
  assert.equal(recorded(), []);
});

test('are distinguished by their public halves', async () => {
  const { keys, recorded, calls } = keysOf({
    same: spki,
    another: other,
    symmetric: 'NotSupported',
    away: 'Unavailable',
    odd: 'Failed',
  });
  const lookup = keys.lookup(via);
  for (const [id, state] of [
    ['same', 'matches'],
    ['another', 'differs'],
    ['absent', 'missing'],
    ['symmetric', 'missing'],
    ['away', 'unavailable'],
  ] as const) {
    assert.is(await lookup.stateOf(id, spki), state);
    assert.is(await lookup.stateOf(id, spki), state);
  }
  assert.is(calls[0]?.options.timeoutMs, 10_000);
  assert.is(recorded().length, 5, 'each half is asked for once');
  assert.is(await failureOf(lookup.stateOf('odd', spki)), 'Failed');
});

test('are found at a likely id, else among the published pairs', async () => {
  const { keys, recorded } = keysOf({ first: other, same: spki, '/bad': spki });
  const lookup = keys.lookup(via);
  assert.is(await lookup.find(spki, ['same']), 'same');
  assert.equal(recorded(), ['GetPublicKey same']);
  assert.is(await lookup.find(spki, ['first']), 'same');
  assert.equal(recorded(), ['GetPublicKey first', 'GetManagedObjects ']);
  assert.is(await lookup.find(Buffer.from('none'), ['absent']), undefined);
  assert.equal(recorded(), [], 'the pairs are asked for once, and then known');
});

test('are found with one comparison for each of many certificates, also at once', async () => {
  let comparisons = 0;
  const halves = Array.from({ length: 50 }, (_, at) => {
    const half = Buffer.from(`half ${at}`);
    half.equals = (one) => ++comparisons > 0 && Buffer.compare(half, one) === 0;
    return half;
  });
  const named = halves.map((half, at): [string, Buffer] => [`key-${at}`, half]);
  const ids = named.map(([id]) => id);
  const { keys, recorded } = keysOf(Object.fromEntries(named));
  const lookup = keys.lookup(via);
  const reversed = halves.toReversed();
  assert.equal(await Promise.all(reversed.map((half) => lookup.find(half, []))), ids.toReversed());
  assert.equal(await Promise.all(halves.map((half) => lookup.find(half, ['key-0']))), ids);
  assert.ok(comparisons <= halves.length, `${comparisons} comparisons`);
  const calls = recorded();
  assert.is(new Set(calls).size, 1 + ids.length);
  assert.is(calls.filter((call) => call.startsWith('GetPublicKey')).length, ids.length);
});

test('are found at the first of several pairs with the same public half', async () => {
  const { keys, recorded } = keysOf({ first: spki, second: spki });
  const lookup = keys.lookup(via);
  assert.is(await lookup.find(spki, []), 'first');
  assert.equal(recorded(), ['GetManagedObjects ', 'GetPublicKey first'], 'no others are read');
  assert.is(await lookup.find(other, []), undefined);
  assert.is(await lookup.find(spki, []), 'first');
});

test('are searched among pairs only, and under ids only', async () => {
  const { keys } = keysOf({ secret: spki, '/bad': spki }, ['symmetric', 'pair']);
  assert.is(await keys.lookup(via).find(spki, []), undefined);
});

test('contradict a certificate only when their public half is different', async () => {
  const { keys } = keysOf({ same: spki, another: other, away: 'Unavailable', odd: 'Failed' });
  const results = ['same', 'another', 'absent', 'away', 'odd'].map((id) =>
    keys.contradicts(id, spki, via),
  );
  assert.equal(await Promise.all(results), [false, true, false, false, false]);
});

test('are not treated as missing when the caller leaves', async () => {
  const { keys } = keysOf({ same: spki });
  const left = { ...via, signal: AbortSignal.abort() };
  assert.is(await failureOf(keys.contradicts('same', spki, left)), 'Unavailable');
  assert.is(await failureOf(keys.lookup(left).stateOf('same', spki)), 'Unavailable');
});

test('are asked for on behalf of the call that is served', async () => {
  const { keys, calls } = keysOf({ same: spki });
  const call = new IncomingCall(callWith('', []), { sender: ':1.7', uid: 7, gids: [], pid: 1 });
  await keys.contradicts('same', spki, call);
  await keys.createPair('same', ['ec-p256'], call);
  await keys.signer('same', spki, call).sign(Buffer.from('message'));
  assert.is(calls.length, 3);
  for (const { call: made, options } of calls) {
    const given = new Map(Object.entries(made.body?.at(-1) as Readonly<Record<string, Variant>>));
    assert.is(given.get('request_id')?.value, call.requestId);
    assert.is(options.signal?.aborted, false);
  }
  call.abandon(callerLeft);
  assert.ok(calls.every(({ options }) => options.signal?.aborted === true));
});

test('are created one after the other, each with a deadline of its own', async () => {
  const replies: (() => void)[] = [];
  const begun: unknown[] = [];
  const timeouts = new Set<number | undefined>();
  const bus = {
    call(call: MethodCall, { timeoutMs }: CallOptions) {
      begun.push(call.body?.[0]);
      timeouts.add(timeoutMs);
      return new Promise((resolve) => replies.push(() => resolve(['/'])));
    },
  } as unknown as Bus; // nothing else of it is used
  const keys = new BusKeys(bus);
  const created = ['a', 'b', 'c'].map((id) => keys.createPair(id, [], via));
  for (const id of ['a', 'b', 'c']) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(begun.splice(0), [id]);
    replies.shift()?.();
  }
  await Promise.all(created);
  assert.equal([...timeouts], [120_000]);
});

test.run();
