import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { lastingLog } from '../../../../src/modules/logs/lasting-log.ts';
import { openLogDirectory } from '../../../../src/modules/logs/log-directory.ts';
import { type LogSocketOptions, LogSockets } from '../../../../src/modules/logs/log-sockets.ts';
import type { LogEntry } from '../../../../src/modules/supervisor/module-type.ts';
import { deadline, soon, until } from '../../../support/deadline.ts';
import { failureOf, messageOf } from '../../../support/failure.ts';

interface Context {
  dir: string;
  /** Closed after the test, also when it has failed: otherwise this process would not end. */
  readers: Socket[];
}

const test = suite<Context>('sockets of logs');
const uid = process.getuid?.() ?? 0;

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-logs-'));
  context.readers = [];
});

test.after.each(async ({ dir, readers }) => {
  for (const reader of readers) reader.destroy();
  await rm(dir, { recursive: true, force: true });
});

const entry = (text: string): LogEntry => ({ stream: 'stdout', time: '', text: Buffer.from(text) });

function socketsIn(dir: string, options: LogSocketOptions = {}): LogSockets {
  return new LogSockets(openLogDirectory({ runtimeDir: dir, stateDir: dir }), options);
}

interface Opened {
  readonly uid?: number;
  readonly gone?: AbortSignal;
  /** Of the call that opens it. */
  readonly call?: AbortSignal;
}

type Parts = (signal: AbortSignal) => AsyncIterable<string>;

/** Opens a log with these parts, after which it fails, stays open or ends. */
function open(sockets: LogSockets, parts: Parts, opened: Opened = {}) {
  const ended = opened.gone ?? new AbortController().signal;
  async function* entries(signal: AbortSignal) {
    for await (const part of parts(signal)) {
      if (signal.aborted) throw new ServiceError('Cancelled', 'it was cancelled');
      yield [entry(part)];
    }
  }
  const type = {
    log: (_name: string, _request: object, signal: AbortSignal) =>
      Promise.resolve({ isTerminal: false, entries: entries(signal) }),
  };
  const read = (signal: AbortSignal) => lastingLog({ type, name: 'one', ended }, {}, signal);
  const log = { uid: opened.uid ?? uid, read, text: { timestamps: false } };
  return sockets.open(log, opened.call ?? soon());
}

function of(...parts: readonly string[]): Parts {
  return async function* () {
    for (const part of parts) yield await Promise.resolve(part);
  };
}

function waiting(first: string): Parts {
  return async function* (signal) {
    yield first;
    const cancelled = new ServiceError('Cancelled', 'it was cancelled');
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(cancelled)));
  };
}

/** A connection that the test itself reads from. */
function reader({ readers }: Context, path: string): Socket {
  const socket = connect(path);
  readers.push(socket);
  return socket;
}

/** What a connection receives until it is closed. */
function received(path: string): Promise<string> {
  const reading = new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(path);
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve(text));
  });
  return deadline(20_000, reading, 'the end of a connection');
}

test('serve one connection of their user, below a directory that cannot be listed', async ({
  dir,
}) => {
  await using sockets = socketsIn(dir);
  const path = await open(sockets, of('one\n', 'two\n'));
  assert.match(basename(path), /^[0-9a-f]{32}\.sock$/);
  assert.is(statSync(path).mode & 0o777, 0o666);
  assert.is(statSync(dir).mode & 0o777, 0o711);
  assert.is(await received(path), 'one\ntwo\n');
  assert.not.ok(existsSync(path));
});

test('outlast the call that opened them', async ({ dir }) => {
  const call = new AbortController();
  await using sockets = socketsIn(dir);
  const path = await open(sockets, of('one\n'), { call: call.signal });
  call.abort();
  assert.is(await received(path), 'one\n');
});

test('close the connections of others, and stay', async ({ dir }) => {
  const uids = [uid + 1, uid];
  await using sockets = socketsIn(dir, { uidOf: () => uids.shift() ?? -1 });
  const path = await open(sockets, of('one\n'));
  assert.is(await received(path), '');
  assert.ok(existsSync(path));
  assert.is(await received(path), 'one\n');
});

test('know the user of a connection', async ({ dir }) => {
  await using sockets = socketsIn(dir);
  const path = await open(sockets, of('one\n'), { uid: uid + 1 });
  assert.is(await received(path), '');
  assert.ok(existsSync(path));
});

test('are gone when no connection comes in time', async ({ dir }) => {
  await using sockets = socketsIn(dir, { waitMs: 20 });
  const path = await open(sockets, of('one\n'));
  await until(5_000, 'the end of the socket', () => !existsSync(path));
});

test('are as many as the limits allow, also after others were closed', async ({ dir }) => {
  await using sockets = socketsIn(dir, { limits: { ofUid: 2, inAll: 3 } });
  const opening = (one: number) => open(sockets, of('one\n'), { uid: one });
  const path = await opening(uid);
  await opening(uid);
  assert.is(await failureOf(opening(uid)), 'LimitsExceeded');
  await opening(uid + 1);
  assert.is(await failureOf(opening(uid + 2)), 'LimitsExceeded');
  assert.is(await received(path), 'one\n');
  await until(5_000, 'a place', async () => (await failureOf(opening(uid))) === 'no failure');
});

test('are 8 of one user and 64 of all at most, as documented', async ({ dir }) => {
  const warnings: unknown[] = [];
  const note = (warning: Error) => warnings.push(warning.message);
  process.on('warning', note);
  await using sockets = socketsIn(dir);
  const opening = (one: number) => open(sockets, waiting('one\n'), { uid: one });
  for (let one = 0; one < 64; one++) await opening(Math.floor(one / 8));
  assert.is(await messageOf(opening(0)), 'LimitsExceeded: uid 0 has 8 logs open');
  assert.is(await messageOf(opening(8)), 'LimitsExceeded: 64 logs are open');
  assert.equal(warnings, [], 'about listeners');
  process.off('warning', note);
});

test('need no place for what cannot be opened', async ({ dir }) => {
  await using sockets = socketsIn(dir, { limits: { ofUid: 1, inAll: 1 } });
  const read = () => Promise.reject(new ServiceError('NotFound', 'no such module'));
  const log = { uid, read, text: { timestamps: false } };
  for (const _ of [1, 2]) assert.is(await failureOf(sockets.open(log, soon())), 'NotFound');
});

test('end with the service, and with the module', async ({ dir }) => {
  const gone = new AbortController();
  const sockets = socketsIn(dir);
  const ofModule = received(await open(sockets, waiting('one\n'), { gone: gone.signal }));
  const ofService = received(await open(sockets, waiting('two\n')));
  const unused = await open(sockets, waiting('three\n'));
  await sleep(50);
  gone.abort();
  assert.is(await ofModule, 'one\n');
  await deadline(10_000, sockets[Symbol.asyncDispose](), 'the end of the sockets');
  assert.is(await ofService, 'two\n');
  assert.not.ok(existsSync(unused));
  assert.is(await failureOf(open(sockets, of())), 'Cancelled');
});

for (const halves of [1, 2]) {
  test(`end with their reader, which closes in ${halves}`, async (context) => {
    await using sockets = socketsIn(context.dir, { limits: { ofUid: 1, inAll: 1 } });
    const socket = reader(context, await open(sockets, waiting('one\n')));
    socket.once('data', () => {
      if (halves === 1) socket.destroy();
      else socket.end(() => setTimeout(() => socket.destroy(), 20));
    });
    const isFree = async (): Promise<boolean> =>
      (await failureOf(open(sockets, waiting('two\n'), { uid: uid + 1 }))) === 'no failure';
    await until(10_000, 'a place', isFree);
  });
}

test('read no more than is taken from them', async (context) => {
  let produced = 0;
  async function* endless(): AsyncGenerator<string> {
    // a reader that is not waited for would have no end
    while (produced < 10_000) {
      produced++;
      yield await Promise.resolve('x'.repeat(10_000));
    }
  }
  await using sockets = socketsIn(context.dir);
  const socket = reader(context, await open(sockets, endless));
  socket.pause();
  await until(5_000, 'the first parts', () => produced > 10);
  await sleep(200);
  const before = produced;
  assert.ok(before < 200, String(before));
  await sleep(200);
  assert.is(produced, before);
  socket.resume();
  await until(5_000, 'more', () => produced > before + 200);
});

test('end with module and service also when nobody reads them', async (context) => {
  async function* large(): AsyncGenerator<string> {
    for (let count = 500; count > 0; count--) yield await Promise.resolve('x'.repeat(10_000));
  }
  for (const graceMs of [20, 60_000]) {
    const gone = new AbortController();
    const sockets = socketsIn(context.dir, { limits: { ofUid: 1, inAll: 1 }, graceMs });
    const socket = reader(context, await open(sockets, large, { gone: gone.signal }));
    const connected = new Promise<void>((resolve) => socket.once('readable', () => resolve()));
    socket.pause();
    await deadline(5_000, connected, 'the first part');
    const isFree = async (): Promise<boolean> =>
      (await failureOf(open(sockets, of()))) === 'no failure';
    if (graceMs < 1_000) {
      gone.abort();
      await until(5_000, 'a place', isFree);
    }
    await deadline(5_000, sockets[Symbol.asyncDispose](), 'the end of the sockets');
  }
});

test('say why a log ends too early', async ({ dir }) => {
  async function* failing(): AsyncGenerator<string> {
    yield await Promise.resolve('one\n');
    throw new ServiceError('Unavailable', 'the engine is gone');
  }
  await using sockets = socketsIn(dir);
  const text = await received(await open(sockets, failing));
  assert.is(text, 'one\niotedge-modules: the log ends here: the engine is gone\n');
});

test('close a connection that sends more than 4 KiB', async (context) => {
  await using sockets = socketsIn(context.dir);
  const socket = reader(context, await open(sockets, waiting('one\n')));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(Buffer.alloc(5_000));
  await deadline(5_000, closed, 'the end of the connection');
});

test('of a process before are removed, and nothing else', async ({ dir }) => {
  const left = `${'a'.repeat(32)}.sock`;
  for (const name of [left, 'other.sock']) await writeFile(join(dir, name), '');
  await openLogDirectory({ runtimeDir: dir, stateDir: dir });
  assert.equal(await readdir(dir), ['other.sock']);
});

test('are in a directory of their own without systemd, but in none of another user', async ({
  dir,
}) => {
  const places = [join(dir, 'absent'), dir];
  const path = await openLogDirectory({ stateDir: '/state' }, places);
  assert.match(path.slice(dir.length), /^\/iotedge-modules-[0-9a-f]{8}$/);
  assert.is(statSync(path).mode & 0o777, 0o711);
  assert.is(await openLogDirectory({ stateDir: '/state' }, places), path);
  await rm(path, { recursive: true });
  await writeFile(path, '');
  assert.is(await failureOf(openLogDirectory({ stateDir: '/state' }, places)), 'Unavailable');
  await rm(path);
  await mkdir(path);
  await chmod(path, 0o777);
  assert.is(await openLogDirectory({ stateDir: '/state' }, places), path);
  assert.is(statSync(path).mode & 0o777, 0o711);
});

test.run();
