import { getEventListeners } from 'node:events';
import * as assert from 'uvu/assert';
import type { Handlers } from '../../../../src/dbus/definition.ts';
import { defineInterface } from '../../../../src/dbus/definition.ts';
import { type CallContext, callerLeft } from '../../../../src/dbus/server/call.ts';
import { ServiceError } from '../../../../src/errors.ts';
import type { Fields } from '../../../../src/service/log/log-record.ts';
import { Cancellations } from '../../../../src/service/operations/cancellations.ts';
import { longHandler } from '../../../../src/service/operations/long-handler.ts';
import {
  type OperationKind,
  Operations,
  type Request,
} from '../../../../src/service/operations/operations.ts';
import { failureOf } from '../../../support/failure.ts';
import { recordingLog } from '../../../support/log.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('long operations');
const requestId = 'r';

type Args = { readonly size: number; readonly colour?: string | undefined };

/** A service with one kind of operation, which ends when it is released. */
class Service {
  readonly persisted = new Map<string, Args>();
  readonly shown: string[] = [];
  readonly ends = new Map<string, (error?: unknown) => void>();
  readonly log: (readonly [string, string, Fields])[] = [];
  readonly operations = new Operations({
    nameOf: (id) => `thing ${id}`,
    onChange: (id) => this.shown.push(`${this.operations.verb(id)} ${this.persisted.has(id)}`),
    log: recordingLog(({ level, message, fields }) => this.log.push([level, message, fields])),
  });
  full = false;
  stuck = false;
  readonly grow: OperationKind<Args, number> = {
    verb: 'Grow',
    persist: async (id, args) => {
      await Promise.resolve();
      if (this.full) throw new ServiceError('Unavailable', 'the disk is full');
      this.persisted.set(id, args);
    },
    run: ({ id, args, signal }) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
        this.ends.set(id, (error) => (error === undefined ? resolve(args.size) : reject(error)));
      }),
    remove: async (id) => {
      if (this.stuck) throw new Error('the disk is read-only');
      this.persisted.delete(id);
    },
  };

  begin(args: Args, { id = 'a', wait = true }: Partial<Request<Args>> = {}) {
    return this.operations.begin(this.grow, { id, args, wait, requestId });
  }

  codeOf(...[args, options]: Parameters<Service['begin']>): Promise<string> {
    return failureOf(this.begin(args, options).then(({ outcome }) => outcome));
  }
}

const one = { size: 1 };

test('are persisted before they are accepted, and removed before their callers receive the result', async () => {
  const service = new Service();
  const { outcome } = await service.begin(one);
  assert.equal(service.persisted.get('a'), one);
  assert.ok(service.operations.isBusy);
  const seen = outcome.then((size) => [size, service.persisted.has('a'), ...service.shown]);
  service.ends.get('a')?.();
  assert.equal(await seen, [1, false, 'Grow true', ' false']);
  assert.not.ok(service.operations.isBusy);
});

test('are refused when they cannot be persisted', async () => {
  const service = new Service();
  service.full = true;
  const codes = [service.codeOf(one), service.codeOf(one)];
  assert.equal(await Promise.all(codes), ['Unavailable', 'Unavailable']);
  assert.equal([service.operations.verb('a'), service.shown.length, service.ends.size], ['', 0, 0]);
});

test('are joined by the same request, and by no other of their id', async () => {
  const service = new Service();
  const first = service.codeOf({ size: 1, colour: undefined });
  const same = service.codeOf(one);
  assert.is(await service.codeOf({ size: 2 }), 'Unavailable');
  const other = { ...service.grow, verb: 'Shrink' };
  const requested = { id: 'a', args: one, wait: true, requestId };
  assert.is(await failureOf(service.operations.begin(other, requested)), 'Unavailable');
  const elsewhere = service.codeOf({ size: 2 }, { id: 'b' });
  await Promise.resolve();
  service.ends.get('a')?.(new ServiceError('NotFound', 'x'));
  assert.equal([await first, await same], ['NotFound', 'NotFound']);
  service.ends.get('b')?.();
  assert.is(await elsewhere, 'no failure');
});

test('that the service began yield to calls, and to none of its own', async () => {
  const service = new Service();
  const { operations, grow } = service;
  const own = { id: 'a', args: { size: 2 }, wait: false, requestId, isOwn: true };
  const first = await operations.begin(grow, own);
  assert.is(await failureOf(operations.begin(grow, { ...own, args: { size: 3 } })), 'Unavailable');
  const requested = await service.begin(one);
  assert.is(await failureOf(first.outcome), 'Cancelled');
  assert.equal(service.persisted.get('a'), one);
  service.ends.get('a')?.();
  assert.is(await requested.outcome, 1);
  await operations.begin(grow, own);
  const joined = await service.begin(own.args);
  // a call waits for it now
  assert.is(await service.codeOf(one), 'Unavailable');
  service.ends.get('a')?.();
  assert.is(await joined.outcome, 2);
});

test('can be cancelled only for the caller that was authorized for them', async () => {
  const service = new Service();
  const { operations } = service;
  const cancellations = new Cancellations();
  const call = {} as CallContext; // only its identity counts
  const cancel = () =>
    failureOf(Promise.resolve().then(() => cancellations.cancel(operations, 'a', call)));
  assert.is(cancellations.resolve(call, operations.current('a')), '');
  const first = await service.begin(one);
  // nothing was in progress when the call was authorized
  assert.is(await cancel(), 'NotFound');
  assert.is(cancellations.resolve(call, operations.current('a')), 'Grow');
  service.ends.get('a')?.();
  await first.outcome;
  const second = await service.begin(one);
  // the call was authorized for another one
  assert.is(await cancel(), 'NotFound');
  cancellations.resolve(call, operations.current('a'));
  assert.is(await cancel(), 'no failure');
  assert.is(await failureOf(second.outcome), 'Cancelled');
  assert.not.ok(service.persisted.has('a'));
  assert.is(await cancel(), 'NotFound');
});

test('without a waiting caller are left by a service that stops, and resumed by the next process', async () => {
  const service = new Service();
  const waited = await service.begin(one, { id: 'waited' });
  const left = await service.begin(one, { id: 'left', wait: false });
  await service.operations.stop();
  assert.is(await failureOf(waited.outcome), 'Unavailable');
  assert.is(await failureOf(left.outcome), 'Unavailable');
  assert.equal([...service.persisted.keys()], ['left']);
  const next = new Service();
  next.persisted.set('left', one);
  next.operations.resume(next.grow, 'left', one);
  assert.is(next.operations.verb('left'), 'Grow');
  const joined = next.codeOf(one, { id: 'left' });
  await Promise.resolve();
  next.ends.get('left')?.();
  assert.is(await joined, 'no failure');
  assert.is(next.persisted.size, 0);
});

test('whose callers have disconnected are left to the next process, too', async () => {
  const service = new Service();
  const handle = longHandler(service.operations, service.grow, {
    request: ({ id }: { readonly id: string }) => ({ id, args: one, wait: true }),
    reply: () => ({}),
  });
  const caller = new AbortController();
  const another = new AbortController();
  const call = (id: string, { signal }: AbortController) =>
    // only its signal and its request count
    failureOf(handle({ id }, { signal, requestId } as CallContext));
  const calls = [call('a', caller), call('b', caller), call('b', another)];
  await new Promise(setImmediate);
  caller.abort(callerLeft);
  await service.operations.stop();
  assert.equal(await Promise.all(calls), ['Unavailable', 'Unavailable', 'Unavailable']);
  // the caller that waits for `b` receives the failure
  assert.equal([...service.persisted.keys()], ['a']);
});

test('are rolled back when the service stops while their callers wait', async () => {
  const service = new Service();
  const handle = longHandler(service.operations, service.grow, {
    request: () => ({ id: 'a', args: one, wait: true }),
    reply: () => ({}),
  });
  const stop = new AbortController();
  const result = failureOf(handle({}, { signal: stop.signal, requestId } as CallContext));
  await new Promise(setImmediate);
  stop.abort();
  assert.is(await result, 'Unavailable');
  await service.operations.stop();
  assert.is(service.persisted.size, 0);
  assert.is(await service.codeOf(one), 'Unavailable');
});

test('that are being cancelled are not joined: a new request runs', async () => {
  const service = new Service();
  const { operations } = service;
  const first = await service.begin(one);
  operations.cancel('a', operations.current('a'));
  const second = service.begin(one, { wait: false });
  assert.is(await failureOf(first.outcome), 'Cancelled');
  await second;
  assert.ok(service.persisted.has('a'));
  assert.is(operations.verb('a'), 'Grow');
  service.ends.get('a')?.();
  assert.is(await (await second).outcome, 1);
});

test('that the service began leave no trace when they end while a call joins', async () => {
  const service = new Service();
  const { operations, grow } = service;
  let written = (): void => {};
  const slow: typeof grow = {
    ...grow,
    persist: async (id, args) => {
      await new Promise<void>((resolve) => {
        written = resolve;
      });
      service.persisted.set(id, args);
    },
  };
  const own = { id: 'a', args: one, wait: false, requestId, isOwn: true };
  await operations.begin(grow, own);
  const joined = operations.begin(slow, { ...own, wait: true, isOwn: false });
  await new Promise(setImmediate);
  service.ends.get('a')?.();
  await new Promise(setImmediate);
  written();
  assert.is(await (await joined).outcome, 1);
  assert.is(service.persisted.size, 0);
  assert.not.ok(operations.isBusy);
});

test('that are cancelled while a call joins are cancelled for that call, too', async () => {
  const service = new Service();
  const { operations, grow } = service;
  await operations.begin(grow, { id: 'a', args: one, wait: false, requestId, isOwn: true });
  const joined = service.codeOf(one);
  operations.cancel('a', operations.current('a'));
  assert.is(await joined, 'Cancelled');
  assert.is(service.persisted.size, 0);
});

test('do not begin, and are invisible, before they are persisted', async () => {
  const service = new Service();
  const first = service.begin(one);
  assert.equal([service.operations.verb('a'), service.operations.isBusy], ['', true]);
  assert.equal([service.shown, service.ends.size], [[], 0]);
  const operation = await first;
  assert.is(operation.requestId, requestId);
  assert.is(service.operations.current('a'), operation);
  assert.is(service.operations.current('b'), undefined);
  service.ends.get('a')?.();
  await operation.outcome;
});

test('can be requested again once they could not be persisted', async () => {
  const service = new Service();
  service.full = true;
  assert.is(await service.codeOf(one), 'Unavailable');
  assert.is(service.operations.isBusy, false);
  service.full = false;
  const { outcome } = await service.begin({ size: 5 });
  service.ends.get('a')?.();
  assert.is(await outcome, 5);
});

test('report what is in progress to a different request', async () => {
  const service = new Service();
  await service.begin(one);
  const messageOf = async (kind: typeof service.grow, args: Args) => {
    const requested = { id: 'a', args, wait: true, requestId };
    const error: unknown = await service.operations.begin(kind, requested).catch((e: unknown) => e);
    return String(error);
  };
  const shrink = { ...service.grow, verb: 'Shrink' };
  assert.match(await messageOf(shrink, one), 'Grow of thing a is in progress');
  const other = 'Grow of thing a with other arguments is in progress';
  assert.match(await messageOf(service.grow, { size: 2 }), other);
  service.ends.get('a')?.();
});

test('that fail without a waiting caller are logged, with the request', async () => {
  const service = new Service();
  for (const wait of [true, false]) {
    const { outcome } = await service.begin(one, { wait });
    service.ends.get('a')?.(new ServiceError('NotFound', 'no water'));
    assert.is(await failureOf(outcome), 'NotFound');
  }
  const fields = { operation: 'Grow', id: 'a', requestId, error: 'no water' };
  assert.equal(service.log, [['warn', 'operation failed', fields]]);
  // one of two callers does not wait for it
  await service.begin(one);
  const { outcome } = await service.begin(one, { wait: false });
  service.ends.get('a')?.(new Error('no sun'));
  await outcome.catch(() => undefined);
  assert.is(service.log.length, 2);
  // the caller knows of its cancellation
  const cancelled = await service.begin(one, { wait: false });
  service.operations.cancel('a', cancelled);
  await cancelled.outcome.catch(() => undefined);
  assert.is(service.log.length, 2);
});

test('end for their callers also when they cannot be removed, which is logged', async () => {
  const service = new Service();
  service.stuck = true;
  const { outcome } = await service.begin(one);
  service.ends.get('a')?.();
  assert.is(await outcome, 1);
  assert.is(service.operations.isBusy, false);
  const fields = { operation: 'Grow', id: 'a', error: 'the disk is read-only' };
  assert.equal(service.log, [['error', 'pending operation not removed', fields]]);
});

test('are resumed once, with a request id of their own', async () => {
  const service = new Service();
  const { operations, grow } = service;
  operations.resume(grow, 'a', one);
  const first = operations.current('a');
  operations.resume(grow, 'a', { size: 2 });
  assert.is(operations.current('a'), first);
  assert.match(first?.requestId ?? '', /^[0-9a-f-]{36}$/);
  const fields = { operation: 'Grow', id: 'a', requestId: first?.requestId };
  assert.equal(service.log, [['info', 'operation resumed', fields]]);
  // a different request does not end it: a call had requested it
  assert.is(await service.codeOf({ size: 2 }), 'Unavailable');
  service.ends.get('a')?.();
  assert.is(await first?.outcome, 1);
});

test('that are resumed are left to the next process again, and logged when they fail', async () => {
  const service = new Service();
  service.persisted.set('a', one);
  service.operations.resume(service.grow, 'a', one);
  await service.operations.stop();
  assert.is(service.persisted.size, 1);
  const next = new Service();
  next.operations.resume(next.grow, 'a', one);
  const outcome = next.operations.current('a')?.outcome;
  next.ends.get('a')?.(new Error('no sun'));
  await outcome?.catch(() => undefined);
  assert.equal(next.log.at(-1)?.slice(0, 2), ['warn', 'operation failed']);
});

/** A promise that is resolved from outside. */
function gate() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('are accepted for a joining call when they are persisted, no sooner', async () => {
  const service = new Service();
  const { open, opened } = gate();
  const slow = { ...service.grow, persist: () => opened };
  const requested = { id: 'a', args: one, wait: false, requestId };
  const accepted: number[] = [];
  const begun = [0, 1].map(async (at) => {
    await service.operations.begin(slow, requested);
    accepted.push(at);
  });
  await new Promise(setImmediate);
  assert.equal(accepted, []);
  open();
  await Promise.all(begun);
  assert.is(accepted.length, 2);
  service.ends.get('a')?.();
});

test('that are complete and not yet removed are not joined: a new request runs', async () => {
  const service = new Service();
  const { open, opened } = gate();
  let runs = 0;
  const slow: typeof service.grow = {
    ...service.grow,
    run: async () => ++runs,
    remove: () => opened,
  };
  const requested = { id: 'a', args: one, wait: true, requestId };
  const first = await service.operations.begin(slow, requested);
  await new Promise(setImmediate);
  const second = service.operations.begin(slow, requested);
  await new Promise(setImmediate);
  open();
  assert.equal([await first.outcome, await (await second).outcome], [1, 2]);
});

test('of the service itself are not persisted, and end when their id is cleared', async () => {
  const service = new Service();
  const { operations, grow } = service;
  const own = { id: 'a', args: one, wait: false, requestId, isOwn: true };
  const { outcome } = await operations.begin(grow, own);
  assert.is(service.persisted.size, 0);
  await operations.clear('a');
  assert.is(await failureOf(outcome), 'Cancelled');
  assert.is(operations.isBusy, false);
  assert.equal(service.log, []);
});

test('of callers complete before their id is clear', async () => {
  const service = new Service();
  const { operations } = service;
  const { outcome } = await service.begin(one);
  let isClear = false;
  const clear = operations.clear('a').then(() => {
    isClear = true;
  });
  await new Promise(setImmediate);
  assert.is(isClear, false);
  service.ends.get('a')?.();
  assert.is(await outcome, 1);
  await clear;
  assert.is(operations.isBusy, false);
});

test('that are cancelled while the service stops are not resumed', async () => {
  const service = new Service();
  const { operations } = service;
  const operation = await service.begin(one, { wait: false });
  operations.cancel('a', operation);
  await operations.stop();
  assert.is(service.persisted.size, 0);
  assert.is(await failureOf(operation.outcome), 'Cancelled');
});

test('do not begin for a call whose result exists', async () => {
  const service = new Service();
  const handle = longHandler(service.operations, service.grow, {
    request: ({ size }: { readonly size: number }) => ({
      id: 'a',
      args: one,
      wait: size > 1,
      ...(size === 0 && { result: 7 }),
    }),
    reply: (result, id) => ({ result, id }),
  });
  const { signal } = new AbortController();
  const call = { signal, requestId: 'of the call' } as CallContext; // the members in use
  assert.equal(await handle({ size: 0 }, call), { result: 7, id: 'a' });
  assert.is(service.operations.isBusy, false);
  // a call that does not wait gets its reply on acceptance
  assert.equal(await handle({ size: 1 }, call), { result: undefined, id: 'a' });
  assert.is(service.operations.current('a')?.requestId, 'of the call');
  const waiting = handle({ size: 2 }, call);
  await new Promise(setImmediate);
  assert.is(getEventListeners(signal, 'abort').length, 1);
  service.ends.get('a')?.();
  assert.equal(await waiting, { result: 1, id: 'a' });
  assert.is(getEventListeners(signal, 'abort').length, 0);
});

test('continue when their callers disconnect, and complete', async () => {
  const service = new Service();
  const handle = longHandler(service.operations, service.grow, {
    request: () => ({ id: 'a', args: one, wait: true }),
    reply: () => ({}),
  });
  const caller = new AbortController();
  const call = { signal: caller.signal, requestId } as CallContext; // the members in use
  const result = failureOf(handle({}, call));
  await new Promise(setImmediate);
  const operation = service.operations.current('a');
  caller.abort(callerLeft);
  assert.is(await result, 'Unavailable');
  assert.equal([operation?.signal.aborted, service.persisted.has('a')], [false, true]);
  service.ends.get('a')?.(new ServiceError('NotFound', 'x'));
  assert.is(await failureOf(operation?.outcome ?? Promise.resolve()), 'NotFound');
  // no listener was called
  assert.is(service.log.length, 1);
});

const things = defineInterface({
  name: 'org.example.Things1',
  doc: 'Things.',
  methods: {
    Grow: { doc: 'Grows.', long: true, in: { size: 'u' }, authorize: 'public' },
    Look: { doc: 'Looks.', in: { size: 'u' }, authorize: 'public' },
  },
});

type ThingHandlers = Handlers<typeof things, CallContext>;
type Plain = (args: { readonly size: number }, call: CallContext) => Promise<object>;
type Fits<T, To> = T extends To ? true : false;

test('have handlers that do not compile without persistence', () => {
  const service = new Service();
  const handler = longHandler(service.operations, service.grow, {
    request: ({ size }: { readonly size: number }) => ({ id: 'a', args: { size }, wait: true }),
    reply: () => ({}),
  });
  const verdicts: {
    readonly longHandler: Fits<typeof handler, ThingHandlers['Grow']>;
    readonly plain: Fits<Plain, ThingHandlers['Grow']>;
    readonly plainOfOthers: Fits<Plain, ThingHandlers['Look']>;
    readonly withoutPersist: Fits<
      Omit<OperationKind<Args, number>, 'persist'>,
      OperationKind<Args, number>
    >;
    readonly withoutRemove: Fits<
      Omit<OperationKind<Args, number>, 'remove'>,
      OperationKind<Args, number>
    >;
  } = {
    longHandler: true,
    plain: false,
    plainOfOthers: true,
    withoutPersist: false,
    withoutRemove: false,
  };
  assert.is(Object.keys(verdicts).length, 5);
  assert.equal(Object.keys(handler.persistence).toSorted(), ['persist', 'remove']);
});

test.run();
