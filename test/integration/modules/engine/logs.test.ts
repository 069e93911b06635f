import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logRoutes } from '../../../../src/modules/api/management/log-routes.ts';
import { EngineConnection } from '../../../../src/modules/docker/engine/connection/engine-connection.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import { containerLog } from '../../../../src/modules/docker/engine/logs/container-log.ts';
import { owner, ownerLabel } from '../../../../src/modules/docker/labels.ts';
import { lastLines, logText } from '../../../../src/modules/logs/log-text.ts';
import type { LogRequest } from '../../../../src/modules/supervisor/module-type.ts';
import { deadline, soon, until } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { readLog } from '../../../support/engine/read-log.ts';
import { failureOf } from '../../../support/failure.ts';
import { bodyOf, getStream } from '../../../support/http/get-stream.ts';
import { RoutesServer } from '../../../support/http/routes-server.ts';

interface Context {
  machine: PrivateEngine;
  engine: DockerEngine;
}

const test = suite<Context>('logs of the docker engine');
const image = 'localhost/busybox:1';
const marker = /^iotedge-modules: the container engine cannot read lines of this log.*\n/gm;

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  context.engine = new DockerEngine(context.machine.socketPath);
  await importBusybox(context.machine, image);
  await startCounting(context, 'damaged', 1);
});

test.after(async ({ machine }) => {
  await machine[Symbol.asyncDispose]();
});

/** Starts a container that runs a script. */
async function start({ engine }: Context, name: string, script: string, more = {}): Promise<void> {
  const labels = { [ownerLabel]: owner };
  const body = { Image: image, Cmd: ['sh', '-c', script], Labels: labels, ...more };
  await engine.create(name, body, soon());
  await engine.start(name, soon());
}

/** Starts a container that prints numbered lines, and waits for its end. */
async function startCounting(context: Context, name: string, lines: number): Promise<void> {
  const script = `i=1; while [ $i -le ${lines} ]; do echo line $i; i=$((i+1)); done`;
  await start(context, name, script);
  await context.machine.docker('wait', name);
}

/** The read of a damaged log makes two hundred requests, for which a busy machine needs more than half a minute. */
const readMs = 120_000;

const read = ({ engine }: Context, name: string, request: LogRequest = {}, timestamps = false) =>
  readLog(engine.log(name, request, AbortSignal.timeout(readMs)), timestamps);

/** The file of the engine that holds a log. */
async function logFile({ machine }: Context, name: string): Promise<string> {
  const id = await machine.docker('inspect', '--format', '{{.Id}}', name);
  return join(machine.directory, 'data/containers', id, `${id}-json.log`);
}

/** Replaces the log of a container that has ended. */
async function rewriteLog(context: Context, name: string, lines: readonly string[]): Promise<void> {
  const records = lines.map((log, at) => {
    const time = new Date(1_700_000_000_000 + at).toISOString();
    return `${JSON.stringify({ log, stream: 'stdout', time })}\n`;
  });
  await writeFile(await logFile(context, name), records.join(''));
}

/** Overwrites lines of the engine's file with NULs, from the middle of the first one to the beginning of the last one. */
async function damage(context: Context, name: string, [from, to]: [number, number]) {
  const path = await logFile(context, name);
  const bytes = await readFile(path);
  const startOf = (line: number): number => {
    let at = 0;
    for (let passed = 1; passed < line; passed++) at = bytes.indexOf(10, at) + 1;
    return at;
  };
  bytes.fill(0, startOf(from) + 20, Math.max(startOf(to), startOf(from) + 40));
  await writeFile(path, bytes, { flag: 'r+' });
}

const numbered = (from: number, to: number): readonly string[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => `line ${from + at}\n`);
const linesBetween = (from: number, to: number): string => numbered(from, to).join('');

test('have no frames', async (context) => {
  const script = 'echo one; echo two >&2; echo three; printf "\\377\\n"';
  await start(context, 'chatty', script);
  await context.machine.docker('wait', 'chatty');
  const all = await read(context, 'chatty');
  const lines = ['', 'one', 'three', 'two', '\ufffd'];
  assert.equal(all.split('\n').toSorted(), lines.toSorted());
  const last = await read(context, 'chatty', { tail: 1 });
  // the engine reads the two streams one by one, so the order of their lines is open
  assert.match(last, /^[^\n]+\n$/);
  assert.ok(all.endsWith(last));
  assert.is(await read(context, 'chatty', { tail: 0 }), '');
  const stamped = await read(context, 'chatty', {}, true);
  assert.match(stamped, /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z \S+\n){4}$/);
  assert.is(await read(context, 'chatty', { until: 1_000_000_000n }), '');
});

test('are selected by times to the nanosecond', async (context) => {
  await startCounting(context, 'timed', 5);
  const stamped = (await read(context, 'timed', {}, true)).split('\n');
  const time = stamped[2]?.split(' ')[0] ?? '';
  const since = BigInt(Date.parse(time)) * 1_000_000n + BigInt(time.slice(23, 29));
  assert.is(await read(context, 'timed', { since }), linesBetween(3, 5));
  assert.is(await read(context, 'timed', { since: since + 1n }), linesBetween(4, 5));
  assert.is(await read(context, 'timed', { until: since }), linesBetween(1, 3));
  assert.is(await read(context, 'timed', { until: since - 1n }), linesBetween(1, 2));
});

test('end in the newest whole lines when they are too long', async (context) => {
  await startCounting(context, 'long', 2000);
  const { entries } = await context.engine.log('long', {}, soon());
  const text = (await lastLines(logText(entries, { timestamps: false }), 1000)).toString();
  assert.ok(text.length <= 1000 && text.length > 900);
  assert.match(text, /^line \d+\n/);
  assert.match(text, /line 1999\nline 2000\n$/);
});

test('of a terminal are as they are printed', async (context) => {
  const long = (byte: string) => `head -c 20000 /dev/zero | tr '\\0' '${byte}'; echo`;
  const script = `trap go=1 USR1; echo '{"a":1}'; ${long('x')}; ${long('\\377')}; echo end`;
  const end = 'until [ -n "$go" ]; do sleep 0.05; done';
  await start(context, 'terminal', `${script}; ${end}`, { Tty: true });
  const lines = ['{"a":1}', 'x'.repeat(20_000), '\ufffd'.repeat(20_000), 'end'];
  const expected = lines.map((line) => `${line}\r\n`);
  // containerd and the engine wait 2 s for the output of what has ended, and lose it on a machine that is busier
  const hasAll = async () => (await read(context, 'terminal')).endsWith('end\r\n');
  await until(30_000, 'the last line', hasAll);
  await context.machine.docker('kill', '--signal', 'USR1', 'terminal');
  await context.machine.docker('wait', 'terminal');
  assert.is(await read(context, 'terminal'), expected.join(''));
  assert.is(await read(context, 'terminal', { follow: true }), expected.join(''));
  // parts of lines are counted
  assert.is(await read(context, 'terminal', { tail: 3 }), expected.slice(2).join(''));
  assert.match(
    await read(context, 'terminal', {}, true),
    /Z \{"a":1\}\r\n\S+Z x+\r\n\S+Z \ufffd+\r\n\S+Z end\r\n$/,
  );
});

test('of a missing container are NotFound, and NotSupported where they are kept nowhere', async (context) => {
  assert.is(await failureOf(read(context, 'absent')), 'NotFound');
  await start(context, 'silent', 'echo lost', { HostConfig: { LogConfig: { Type: 'none' } } });
  assert.is(await failureOf(read(context, 'silent')), 'NotSupported');
});

test('are followed until the container ends', async (context) => {
  const script =
    'trap go=1 USR1; echo one; echo two; until [ -n "$go" ]; do sleep 0.05; done; echo three';
  await start(context, 'followed', script);
  const { entries } = await context.engine.log('followed', { follow: true }, soon());
  let text = '';
  for await (const part of logText(entries, { timestamps: false })) {
    text += part.toString();
    if (text.endsWith('two\n'))
      await context.machine.docker('kill', '--signal', 'USR1', 'followed');
  }
  assert.is(text, 'one\ntwo\nthree\n');
});

test('are not taken for damaged because they are read late', async (context) => {
  await start(context, 'late', 'while :; do echo line; sleep 0.02; done');
  const { entries } = await context.engine.log('late', {}, soon());
  await sleep(200);
  let text = '';
  for await (const part of logText(entries, { timestamps: false })) text += part.toString();
  assert.match(text, /^(line\n)*$/);
  await context.machine.docker('kill', 'late');
});

test('are served over HTTP, with the final chunk when a followed container ends', async (context) => {
  await using server = await RoutesServer.open(logRoutes(context.engine));
  const read = async (name: string, query = '') => {
    const path = `/modules/${name}/logs?api-version=2018-06-28&${query}`;
    const response = await getStream(server.socketPath, path);
    return `${response.statusCode} ${String(await bodyOf(response))}`;
  };
  await start(context, 'served', 'echo one; sleep 0.2; echo two');
  const header = (length: number) => `\u0001\0\0\0\0\0\0${String.fromCharCode(length)}`;
  const lines = `200 ${header(4)}one\n${header(4)}two\n`;
  assert.is(await read('served', 'follow=true'), lines);
  assert.is(await read('served', 'tail=1'), `200 ${header(4)}two\n`);
  assert.is(await read('terminal', 'tail=1'), '200 end\r\n');
  assert.match(await read('silent'), /^501 /);
  assert.match(await read('absent'), /^404 /);
});

test('are followed until the signal is aborted, or the container is removed', async (context) => {
  for (const end of ['abort', 'remove']) {
    await start(context, `until-${end}`, 'echo one; exec sleep 1000');
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, soon()]);
    const { entries } = await context.engine.log(`until-${end}`, { follow: true }, signal);
    const following = (async () => {
      for await (const [entry] of entries) {
        assert.is(entry?.text.toString(), 'one\n');
        if (end === 'abort') stop.abort();
        else await context.engine.remove(`until-${end}`, soon());
      }
    })();
    const outcome = await failureOf(deadline(20_000, following, 'an end'));
    assert.is(outcome, end === 'abort' ? 'Cancelled' : 'no failure');
  }
});

for (const [from, to] of [
  [100, 110],
  [1, 1],
  [1, 3],
  [150, 199],
  [199, 200],
  [200, 200],
] as const) {
  test(`of a file that is damaged in lines ${from} to ${to} of 200 lack only these`, async (context) => {
    const name = 'damaged';
    await rewriteLog(context, name, numbered(1, 200));
    await damage(context, name, [from, to]);
    const text = await read(context, name);
    assert.is(text.replace(marker, ''), linesBetween(1, from - 1) + linesBetween(to + 1, 200));
    // nothing tells that the newest line is damaged
    assert.is(text.match(marker)?.length ?? 0, to < 200 ? 1 : 0);
    if (to === 200) return;
    const place = text.search(marker);
    assert.is(text.slice(0, place), linesBetween(1, from - 1));
    assert.is(await read(context, name, { follow: true }), text);
    const tail = await read(context, name, { tail: 200 - to });
    assert.is(tail, linesBetween(to + 1, 200));
  });
}

test('of a file that is damaged twice lack only what is damaged', async (context) => {
  const name = 'damaged';
  await rewriteLog(context, name, numbered(1, 2_000));
  await damage(context, name, [1_500, 1_501]);
  await damage(context, name, [500, 560]);
  const text = await read(context, name);
  const expected = linesBetween(1, 499) + linesBetween(561, 1_499) + linesBetween(1_502, 2_000);
  assert.is(text.replace(marker, ''), expected);
  assert.is(text.match(marker)?.length, 2);
});

test('of a large file that is damaged say so before its newest lines, which are complete', async (context) => {
  const name = 'damaged';
  const filler = 'x'.repeat(200);
  const lines = Array.from({ length: 10_000 }, (_, at) => `${at} ${filler}\n`);
  await rewriteLog(context, name, lines);
  assert.is(await read(context, name), lines.join(''));
  await damage(context, name, [50, 51]);
  const text = await read(context, name);
  assert.is(text.match(marker)?.length, 1);
  const rest = text.slice(text.search(marker)).replace(marker, '');
  assert.ok(lines.join('').endsWith(rest));
  assert.ok(rest.length > 1_000_000, String(rest.length));
});

test('that grow and are rotated all the time are not taken for damaged', async (context) => {
  const { machine } = context;
  const logs = { Type: 'json-file', Config: { 'max-size': '50k', 'max-file': '3' } };
  const script = 'i=0; while :; do i=$((i+1)); echo $i; done';
  await start(context, 'growing', script, { HostConfig: { LogConfig: logs } });
  for (let times = 8; times > 0; times--) {
    const text = await read(context, 'growing');
    assert.not.match(text, marker);
    const numbers = text.trim().split('\n').map(Number);
    const [first = 0] = numbers;
    if (times === 8) continue; // it may just have begun
    assert.equal(
      numbers,
      numbers.map((_, at) => first + at),
    );
  }
  await machine.docker('kill', 'growing');
});

test('are given up soon while the engine does not respond', async ({ machine }) => {
  const { socketPath } = machine;
  const limitMs = 300;
  const engine = new DockerEngine(socketPath, { logLimitMs: limitMs });
  const container = {
    id: await machine.docker('inspect', '--format', '{{.Id}}', 'damaged'),
    isTerminal: false,
    driver: 'json-file',
  };
  const connection = new EngineConnection(socketPath);
  const context = { action: 'reading', socketPath };
  const signal = AbortSignal.timeout(10_000);
  machine.signalDaemon('SIGSTOP');
  try {
    const request = { follow: true };
    assert.is(await failureOf(engine.log('damaged', request, signal)), 'Unavailable');
    const options = { request, connection, context, limitMs, signal };
    assert.is(await failureOf(containerLog(container, options)), 'Unavailable');
  } finally {
    machine.signalDaemon('SIGCONT');
  }
  assert.not(signal.aborted);
});

test('are followed for longer than the engine may take to begin them', async (context) => {
  const engine = new DockerEngine(context.machine.socketPath, { logLimitMs: 2_000 });
  await start(context, 'slow', 'echo one; sleep 4; echo two');
  const { entries } = await engine.log('slow', { follow: true }, soon());
  let text = '';
  for await (const part of logText(entries, { timestamps: false })) text += part.toString();
  assert.is(text, 'one\ntwo\n');
});

test.run();
