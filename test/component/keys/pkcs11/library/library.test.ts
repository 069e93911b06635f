import * as assert from 'uvu/assert';
import { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { encodeFailure, encodeReply } from '../../../../../src/keys/pkcs11/protocol/messages.ts';
import { operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { until } from '../../../../support/deadline.ts';
import { DoubleHost } from '../../../../support/library/double-host.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('a PKCS#11 library in its process');

/** A library, and the processes that it started. */
class Rig implements AsyncDisposable {
  readonly hosts: DoubleHost[] = [];
  readonly ends: string[] = [];
  readonly library = new Pkcs11Library('/lib/some.so', () => {
    const host = new DoubleHost();
    this.hosts.push(host);
    return host;
  });

  constructor() {
    this.library.onEnd(({ message }) => void this.ends.push(message));
  }

  /** Waits for the latest process to get a request, and replies. */
  async reply(replyTo: (id: number) => Buffer): Promise<DoubleHost> {
    await until(10_000, 'a request', () => this.hosts.at(-1)?.received.length === 1);
    const host = this.hosts.at(-1);
    if (host === undefined) throw new Error('there is no process');
    await host.send(replyTo(host.received[0]?.id ?? 0));
    return host;
  }

  /** Starts the library; resolves with its process. */
  async start(): Promise<DoubleHost> {
    const ready = this.library.ready();
    const host = await this.reply((id) => encodeReply(id, operations.load.reply, undefined));
    await ready;
    return host;
  }

  /** Why the library is not ready. */
  async failure(): Promise<string> {
    return this.library.ready().then(
      () => 'none',
      (error: unknown) => String(error),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.library[Symbol.asyncDispose]();
    for (const host of this.hosts) await host[Symbol.asyncDispose]();
  }
}

/** Runs with clocks that the test sets; the wall clock, by which a library is started again, stands still otherwise. */
async function withClock(run: (advance: (ms: number) => void) => Promise<void>): Promise<void> {
  const [monotonic, RealDate] = [performance.now.bind(performance), Date];
  const beginning = RealDate.now();
  let ahead = 0;
  performance.now = () => monotonic() + ahead;
  globalThis.Date = class extends RealDate {
    constructor() {
      super(beginning + ahead);
    }
  } as DateConstructor;
  try {
    await run((ms) => void (ahead += ms));
  } finally {
    performance.now = monotonic;
    globalThis.Date = RealDate;
  }
}

test('is started once for all callers, and not before the first', async () => {
  await using rig = new Rig();
  assert.is(rig.hosts.length, 0);
  assert.not(rig.library.open);
  const ready = [rig.library.ready(), rig.library.ready()];
  await rig.reply((id) => encodeReply(id, operations.load.reply, undefined));
  await Promise.all(ready);
  assert.ok(rig.library.open);
  await rig.library.ready();
  assert.is(rig.hosts.length, 1);
});

test('is started again after its process ended, but not at once', async () => {
  await withClock(async (advance) => {
    await using rig = new Rig();
    const host = await rig.start();
    const { generation } = rig.library;
    host.end('was ended by SIGSEGV');
    await until(10_000, 'the end is noticed', () => rig.ends.length === 1);
    assert.match(rig.ends[0] ?? '', 'PKCS#11 library /lib/some.so was ended by SIGSEGV');
    assert.not(rig.library.open);
    assert.is(rig.library.generation, generation + 1, 'its handles are invalid');
    assert.match(await rig.failure(), 'SIGSEGV');
    assert.is(rig.hosts.length, 1);
    advance(1_000);
    await rig.start();
    assert.is(rig.hosts.length, 2);
  });
});

test('is started less and less often while its process ends again and again', async () => {
  await withClock(async (advance) => {
    await using rig = new Rig();
    for (let failures = 0; failures < 8; failures++) {
      const host = await rig.start();
      host.end('was ended by SIGSEGV');
      await until(10_000, 'the end is noticed', () => rig.ends.length === failures + 1);
      advance(249);
      assert.match(await rig.failure(), 'SIGSEGV');
      advance(15_000);
    }
    assert.is(rig.hosts.length, 8);
  });
});

test('is not ready when it cannot be loaded, and its process ends', async () => {
  await using rig = new Rig();
  const failure = rig.failure();
  const message = 'libothers.so.1: cannot open shared object file';
  const host = await rig.reply((id) => encodeFailure(id, { kind: 'other', message }));
  assert.match(await failure, `PKCS#11 library /lib/some.so: ${message}`);
  assert.ok(host.isKilled || host.socket.destroyed);
  const initialize = { kind: 'ckr', ckr: 'CKR_DEVICE_ERROR', call: 'C_Initialize' } as const;
  const other = new Rig();
  const second = other.failure();
  await other.reply((id) => encodeFailure(id, initialize));
  assert.match(await second, '/lib/some.so cannot be loaded: CKR_DEVICE_ERROR');
  await other[Symbol.asyncDispose]();
});

test('that hangs while it is loaded is closed without waiting for it', async () => {
  await using rig = new Rig();
  const failure = rig.failure();
  await until(10_000, 'the request', () => rig.hosts[0]?.received.length === 1);
  await rig.library[Symbol.asyncDispose]();
  assert.match(await failure, 'was closed');
  assert.equal(rig.ends, []);
});

test('that ends in the moment in which it was loaded is not taken for ready', async () => {
  await withClock(async (advance) => {
    await using rig = new Rig();
    const failure = rig.failure();
    const garbage = Buffer.alloc(8, 0xff);
    const loaded = (id: number): Buffer => encodeReply(id, operations.load.reply, undefined);
    await rig.reply((id) => Buffer.concat([loaded(id), garbage]));
    assert.match(await failure, 'malformed');
    assert.not(rig.library.open);
    advance(1_000);
    await rig.start();
    assert.ok(rig.library.open);
  });
});

test('reports its end to those who listen', async () => {
  await using rig = new Rig();
  const ends: string[] = [];
  const stop = rig.library.onEnd(({ message }) => void ends.push(message));
  const host = await rig.start();
  stop();
  host.end('was ended by SIGSEGV');
  await until(10_000, 'the end is noticed', () => rig.ends.length === 1);
  assert.equal(ends, []);
});

test('that is closed starts no process any more', async () => {
  await using rig = new Rig();
  await rig.start();
  await rig.library[Symbol.asyncDispose]();
  assert.match(await rig.failure(), 'it is closed');
  assert.is(rig.hosts.length, 1);
});

test('is Unavailable when no process can be started', async () => {
  const library = new Pkcs11Library('/lib/some.so', () => {
    throw new Error('iotedge-pkcs11.cjs is not installed');
  });
  const failure: unknown = await library.ready().catch((error: unknown) => error);
  assert.match(String(failure), '/lib/some.so cannot be loaded: iotedge-pkcs11.cjs is not');
});

test.run();
