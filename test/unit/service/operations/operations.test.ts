import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Handlers } from '../../../../src/dbus/definition.ts';
import { defineInterface } from '../../../../src/dbus/definition.ts';
import { type CallContext, callerLeft } from '../../../../src/dbus/serve.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { Cancellations } from '../../../../src/service/operations/cancellations.ts';
import { longHandler } from '../../../../src/service/operations/long-handler.ts';
import {
  type OperationKind,
  Operations,
  type Request,
} from '../../../../src/service/operations/operations.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite('long operations');
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const requestId = 'r';

type Args = { readonly size: number; readonly colour?: string | undefined };

/** A service with one kind of operation, which ends when it is told to. */
class Service {
  readonly persisted = new Map<string, Args>();
  readonly shown: string[] = [];
  readonly ends = new Map<string, (error?: unknown) => void>();
  readonly operations = new Operations({
    nameOf: (id) => `thing ${id}`,
    onChange: (id) => this.shown.push(`${this.operations.verb(id)} ${this.persisted.has(id)}`),
    log,
  });
  full = false;
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
    forget: (id) => Promise.resolve(void this.persisted.delete(id)),
  };

  begin(args: Args, { id = 'a', wait = true }: Partial<Request<Args>> = {}) {
    return this.operations.begin(this.grow, { id, args, wait, requestId });
  }

  codeOf(...[args, options]: Parameters<Service['begin']>): Promise<string> {
    return failureOf(this.begin(args, options).then(({ outcome }) => outcome));
  }
}

const one = { size: 1 };

test('are persisted before they are accepted, and forgotten before their callers are answered', async () => {
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

test('are joined by the same, and by nothing else of their id', async () => {
  const service = new Service();
  const first = service.codeOf({ size: 1, colour: undefined });
  const same = service.codeOf(one);
  assert.is(await service.codeOf({ size: 2 }), 'Unavailable');
  const other = { ...service.grow, verb: 'Shrink' };
  const asked = { id: 'a', args: one, wait: true, requestId };
  assert.is(await failureOf(service.operations.begin(other, asked)), 'Unavailable');
  const elsewhere = service.codeOf({ size: 2 }, { id: 'b' });
  await Promise.resolve();
  service.ends.get('a')?.(new ServiceError('NotFound', 'x'));
  assert.equal([await first, await same], ['NotFound', 'NotFound']);
  service.ends.get('b')?.();
  assert.is(await elsewhere, 'no failure');
});

test('that the service began by itself give way to calls, and to none of its own', async () => {
  const service = new Service();
  const { operations, grow } = service;
  const own = { id: 'a', args: { size: 2 }, wait: false, requestId, isOwn: true };
  const first = await operations.begin(grow, own);
  assert.is(await failureOf(operations.begin(grow, { ...own, args: { size: 3 } })), 'Unavailable');
  const asked = await service.begin(one);
  assert.is(await failureOf(first.outcome), 'Cancelled');
  assert.equal(service.persisted.get('a'), one);
  service.ends.get('a')?.();
  assert.is(await asked.outcome, 1);
  await operations.begin(grow, own);
  const joined = await service.begin(own.args);
  // a call waits for it now
  assert.is(await service.codeOf(one), 'Unavailable');
  service.ends.get('a')?.();
  assert.is(await joined.outcome, 2);
});

test('are cancelled by who was judged by them, and nobody else', async () => {
  const service = new Service();
  const { operations } = service;
  const cancellations = new Cancellations();
  const call = {} as CallContext; // only its identity counts
  const cancel = () =>
    failureOf(Promise.resolve().then(() => cancellations.cancel(operations, 'a', call)));
  assert.is(cancellations.resolve(call, operations.current('a')), '');
  const first = await service.begin(one);
  // nothing was in progress when the call was judged
  assert.is(await cancel(), 'NotFound');
  assert.is(cancellations.resolve(call, operations.current('a')), 'Grow');
  service.ends.get('a')?.();
  await first.outcome;
  const second = await service.begin(one);
  // another one than the call was judged by
  assert.is(await cancel(), 'NotFound');
  cancellations.resolve(call, operations.current('a'));
  assert.is(await cancel(), 'no failure');
  assert.is(await failureOf(second.outcome), 'Cancelled');
  assert.not.ok(service.persisted.has('a'));
  assert.is(await cancel(), 'NotFound');
});

test('that nobody waits for are left to the next process by one that stops, which resumes them', async () => {
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

test('whose callers have left are left to the next process, too', async () => {
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
  // who waits for `b` is told that it failed
  assert.equal([...service.persisted.keys()], ['a']);
});

test('are undone when the service stops while their callers are there', async () => {
  const service = new Service();
  const handle = longHandler(service.operations, service.grow, {
    request: () => ({ id: 'a', args: one, wait: true }),
    reply: () => ({}),
  });
  const stop = new AbortController();
  const answer = failureOf(handle({}, { signal: stop.signal, requestId } as CallContext));
  await new Promise(setImmediate);
  stop.abort();
  assert.is(await answer, 'Unavailable');
  await service.operations.stop();
  assert.is(service.persisted.size, 0);
  assert.is(await service.codeOf(one), 'Unavailable');
});

test('that are being cancelled are not joined: what is asked for then is done', async () => {
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

test('that the service began by itself leave nothing behind when they end while a call joins', async () => {
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

test('that are cancelled while a call joins are cancelled for it, too', async () => {
  const service = new Service();
  const { operations, grow } = service;
  await operations.begin(grow, { id: 'a', args: one, wait: false, requestId, isOwn: true });
  const joined = service.codeOf(one);
  operations.cancel('a', operations.current('a'));
  assert.is(await joined, 'Cancelled');
  assert.is(service.persisted.size, 0);
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
    readonly withoutForget: Fits<
      Omit<OperationKind<Args, number>, 'forget'>,
      OperationKind<Args, number>
    >;
  } = {
    longHandler: true,
    plain: false,
    plainOfOthers: true,
    withoutPersist: false,
    withoutForget: false,
  };
  assert.is(Object.keys(verdicts).length, 5);
  assert.equal(Object.keys(handler.intent).toSorted(), ['forget', 'persist']);
});

test.run();
