import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus, CallOptions, MethodCall, SignalMatch } from '../../../../src/dbus/bus.ts';
import { client, onSignal, serviceClient } from '../../../../src/dbus/client/client.ts';
import { defineInterface } from '../../../../src/dbus/definition.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite('dbus client');

const definition = defineInterface({
  name: 'a.One',
  doc: 'One.',
  methods: {
    Do: {
      doc: 'Does it.',
      in: { name: 's', count: 'u' },
      options: { quickly: 'b', note: 's' },
      out: { text: 's', size: 't' },
      authorize: 'public',
    },
    List: {
      doc: 'Lists.',
      out: { record: 'a{sv}', records: 'aa{sv}' },
      records: { record: { name: 's', size: 't' }, records: { name: 's' } },
      authorize: 'public',
    },
  },
});
const remote = { busName: 'a.Name', path: '/a' };

/** A bus that replies with these values to every call, and the calls that were made. */
function open(...reply: readonly unknown[]) {
  const calls: (readonly [MethodCall, CallOptions | undefined])[] = [];
  const matches: SignalMatch[] = [];
  const bus = {
    call: (call: MethodCall, options?: CallOptions) => {
      calls.push([call, options]);
      return Promise.resolve(reply);
    },
    subscribe: (match: SignalMatch) => {
      matches.push(match);
      return Promise.resolve();
    },
  } as unknown as Bus; // its constructor is private
  return { bus, calls, matches };
}

const plain = {
  destination: 'a.Name',
  path: '/a',
  interface: 'a.One',
  member: 'Do',
  signature: 'sua{sv}',
  interactive: false,
  replySignature: 'st',
};

test('makes a call of a method from its table', async () => {
  const { bus, calls } = open('text', 5n);
  const one = client(bus, remote, definition);
  assert.equal(await one.Do({ count: 7, name: 'n' }), { text: 'text', size: 5n });
  assert.equal(calls[0]?.[0], { ...plain, body: ['n', 7, {}] });
  const options = { quickly: true, note: undefined };
  await one.Do(
    { name: 'n', count: 7, options },
    { requestId: 'r-1', interactive: true, timeoutMs: 5 },
  );
  const encoded = { quickly: variant('b', true), request_id: variant('s', 'r-1') };
  assert.equal(calls[1]?.[0], { ...plain, interactive: true, body: ['n', 7, encoded] });
  assert.is(calls[1]?.[1]?.timeoutMs, 5);
  const unknown = { ...options, slowly: true };
  assert.match(await failureOf(one.Do({ name: 'n', count: 7, options: unknown })), 'TypeError');
  assert.is(calls.length, 2);
});

test('passes on the call that it serves, and never allows interactive authorization', async () => {
  const { bus, calls } = open('text', 5n);
  const { signal } = new AbortController();
  const via = { requestId: 'r-2', signal, timeoutMs: 9, interactive: true };
  await serviceClient(bus, remote, definition).Do({ name: 'n', count: 7 }, via);
  const [call, options] = calls[0] ?? [];
  assert.equal(call, { ...plain, body: ['n', 7, { request_id: variant('s', 'r-2') }] });
  assert.equal([options?.signal, options?.timeoutMs], [signal, 9]);
});

test('listens to the cancellation of the call that it serves, which needs no AbortController', async () => {
  const { bus, calls } = open('text', 5n);
  const { signal: cancellation } = new AbortController();
  const via = {
    requestId: 'r-3',
    cancellation,
    get signal(): AbortSignal {
      throw new TypeError('not needed');
    },
  };
  await serviceClient(bus, remote, definition).Do({ name: 'n', count: 7 }, via);
  assert.is(calls[0]?.[1]?.signal, cancellation);
});

test('reads the known fields of records, and refuses a missing field and one of another type', async () => {
  const record = { name: variant('s', 'r'), size: variant('t', 5n), newer: variant('b', true) };
  const list = (first: object, ...more: readonly object[]) =>
    client(open(first, more).bus, remote, definition).List({});
  assert.equal(await list(record, { name: variant('s', 'a') }), {
    record: { name: 'r', size: 5n },
    records: [{ name: 'a' }],
  });
  const { size, ...rest } = record;
  for (const wrong of [rest, { ...rest, size: variant('u', 5) }, { ...rest, size: 5n }, {}]) {
    assert.match(await failureOf(list(wrong)), 'TypeError');
  }
  assert.match(await failureOf(list({ ...rest, size }, {})), 'TypeError');
});

test('subscribes to the signals of one object of the owner of a name', async () => {
  const { bus, matches } = open();
  await onSignal(bus, remote, { definition, member: 'Happened', listener: () => undefined });
  assert.equal(matches, [{ sender: 'a.Name', path: '/a', interface: 'a.One', member: 'Happened' }]);
});

test.run();
