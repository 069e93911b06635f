import * as assert from 'uvu/assert';
import type { ServiceError } from '../../../../../src/errors.ts';
import {
  type CallOptions,
  HostProcess,
} from '../../../../../src/keys/pkcs11/library/host-process.ts';
import { bytes, nothing, u32 } from '../../../../../src/keys/pkcs11/protocol/fields.ts';
import {
  encodeAlive,
  encodeFailure,
  encodeReply,
} from '../../../../../src/keys/pkcs11/protocol/messages.ts';
import { operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { until } from '../../../../support/deadline.ts';
import { DoubleHost } from '../../../../support/library/double-host.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('the process of a PKCS#11 library, as the service sees it');

/** A process, and why it ended. */
class Rig implements AsyncDisposable {
  readonly host = new DoubleHost();
  readonly ends: string[] = [];
  readonly process = new HostProcess('/lib/some.so', this.host, (failure: ServiceError) => {
    this.ends.push(failure.message);
  });

  /** A call, whose outcome is its reply or the message of its failure. */
  async isUser(options: CallOptions = {}): Promise<string> {
    try {
      return String(await this.process.call(operations.isUser, { pool: 1 }, options));
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Waits for that many requests; returns the id of the last one. */
  async requests(count: number): Promise<number> {
    await until(10_000, `${count} requests`, () => this.host.received.length >= count);
    return this.host.received.at(-1)?.id ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.host.end('exited with code 0');
    await this.process[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
  }
}

const yes = (id: number): Buffer => encodeReply(id, operations.isUser.reply, true);
const tooLong = Buffer.alloc(8, 0xff);

test('replies in any order, and fails as the library does', async () => {
  await using rig = new Rig();
  const [first, second, third] = [rig.isUser(), rig.isUser(), rig.isUser()];
  const last = await rig.requests(3);
  await rig.host.send(yes(last));
  assert.is(await third, 'true');
  const failure = { kind: 'ckr', ckr: 'CKR_DEVICE_ERROR', call: 'C_GetSessionInfo' } as const;
  await rig.host.send(encodeFailure(last - 1, failure));
  assert.is(await second, 'CKR_DEVICE_ERROR');
  await rig.host.send(encodeFailure(last - 2, { kind: 'other', message: 'it is broken' }));
  assert.is(await first, 'PKCS#11 library /lib/some.so: it is broken');
  assert.equal(rig.ends, []);
});

for (const [what, frameFor] of Object.entries<(id: number) => Buffer>({
  'a length beyond every message': () => tooLong,
  'a reply to nothing': (id) => yes(id + 100),
  'a second reply': (id) => Buffer.concat([yes(id), yes(id)]),
  'a reply of another form': (id) => encodeReply(id, bytes, Buffer.from('some bytes')),
  'a reply that is too short': (id) => encodeReply(id, nothing, undefined),
  'bytes after a reply': (id) => encodeReply(id, u32, 0x01_01_01_01),
  'a flag of 2': (id) => encodeReply(id, u32, 2),
  'an outcome that does not exist': (id) => {
    const frame = yes(id);
    frame[8] = 7;
    return frame;
  },
  'a failure whose name is none': (id) =>
    encodeFailure(id, { kind: 'ckr', ckr: 'CKR_<b>', call: 'C_Sign' }),
})) {
  test(`is killed for ${what}, and everything that waits for it fails`, async () => {
    await using rig = new Rig();
    const waiting = [rig.isUser(), rig.isUser()];
    await rig.requests(2);
    await rig.host.send(frameFor((await rig.requests(2)) - 1));
    for (const outcome of await Promise.all(waiting)) {
      if (outcome !== 'true') assert.match(outcome, '/lib/some.so sent a');
    }
    assert.is(await waiting[1], await rig.isUser());
    assert.is(rig.ends.length, 1);
    assert.match(rig.ends.join(), 'malformed');
    assert.ok(rig.host.isKilled);
  });
}

test('names the function in which it ended', async () => {
  await using rig = new Rig();
  const call = rig.isUser();
  await rig.requests(1);
  rig.host.end('was ended by SIGSEGV');
  const message = 'PKCS#11 library /lib/some.so was ended by SIGSEGV in C_GetSessionInfo';
  assert.is(await call, message);
  assert.equal(rig.ends, [message]);
  assert.is(await rig.isUser(), message, 'later calls fail at once');
});

test('is not waited for by a caller that left, whose reply is dropped', async () => {
  await using rig = new Rig();
  let done = 0;
  const leaving = new AbortController();
  const options = { signal: leaving.signal, done: () => void done++ };
  const left = rig.isUser(options);
  const id = await rig.requests(1);
  leaving.abort();
  assert.is(await left, 'the caller no longer waits');
  assert.is(done, 0, 'the process still works on it');
  await rig.host.send(yes(id));
  await until(10_000, 'the reply', () => done === 1);
  const next = rig.isUser();
  await rig.host.send(yes(await rig.requests(2)));
  assert.is(await next, 'true');
  assert.equal(rig.ends, []);
});

/** Runs with a clock that the test sets. */
async function withClock(run: (advance: (ms: number) => void) => Promise<void>): Promise<void> {
  const clock = performance.now.bind(performance);
  let ahead = 0;
  performance.now = () => clock() + ahead;
  try {
    await run((ms) => void (ahead += ms));
  } finally {
    performance.now = clock;
  }
}

test('is killed when nothing returns for 20 s, and not while it says that it lives', async () => {
  await withClock(async (advance) => {
    await using rig = new Rig();
    const call = rig.isUser();
    const id = await rig.requests(1);
    advance(19_000);
    await rig.host.send(encodeAlive());
    await until(10_000, 'it was heard', () => rig.host.socket.bytesRead >= 9);
    advance(19_000);
    await rig.host.send(yes(id));
    assert.is(await call, 'true');
    advance(100_000);
    const hanging = rig.isUser();
    await rig.requests(2);
    assert.equal(rig.ends, [], 'an idle process has nothing to say');
    advance(20_001);
    assert.match(await hanging, 'hangs in C_GetSessionInfo: nothing has returned for 20 s');
    assert.ok(rig.host.isKilled);
  });
});

test('is killed when a call takes 10 minutes, although it says that it lives', async () => {
  await withClock(async (advance) => {
    await using rig = new Rig();
    const call = rig.isUser();
    await rig.requests(1);
    for (let minutes = 0; minutes < 10; minutes += 0.25) {
      advance(15_000);
      const { bytesRead } = rig.host.socket;
      await rig.host.send(encodeAlive());
      await until(10_000, 'it was heard', () => rig.host.socket.bytesRead > bytesRead);
    }
    assert.equal(rig.ends, []);
    advance(1_000);
    assert.match(await call, 'nothing has returned for 600 s');
  });
});

test('is asked to end when it is closed, and not reported as a failure', async () => {
  const host = new DoubleHost();
  const ends: string[] = [];
  const process = new HostProcess('/lib/some.so', host, ({ message }) => void ends.push(message));
  const call = process.call(operations.isUser, { pool: 1 }).catch((error: unknown) => error);
  await process[Symbol.asyncDispose]();
  assert.match(String(await call), 'was closed');
  assert.equal(ends, []);
  await host[Symbol.asyncDispose]();
});

test.run();
