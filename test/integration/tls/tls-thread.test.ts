/** The life of the TLS thread: its start and its failures, its end when it is idle, and what its process notices. */
import { cp, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { mock } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import { runCommand } from '../../support/command.ts';
import { deadline, until } from '../../support/deadline.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';

interface Rig {
  readonly pki: Pki;
}

const never = new AbortController().signal;
/** Its connections stay open for longer than a test waits. */
const anyClient = { requestCert: false, rejectUnauthorized: false, keepAliveTimeout: 60_000 };
const test = suite<Partial<Rig>>('TLS thread');

test.before(async (context) => {
  Object.assign(context, { pki: await Pki.create() });
});

test.after(({ pki }) => pki?.[Symbol.asyncDispose]());

function rig({ pki }: Partial<Rig>): Rig {
  if (!pki) throw new Error('the rig was not set up');
  return { pki };
}

/** A server that responds after the milliseconds that the path states. */
const serve = ({ pki }: Rig, seen: RequestListener = () => undefined) =>
  MutualTlsServer.start(pki, anyClient, (request, response) => {
    seen(request, response);
    setTimeout(() => response.end('hello'), Number(request.url?.slice(1)));
  });

function get({ pki }: Rig, url: string): HttpsRequest {
  return { method: 'GET', url, ca: pki.root.certificate, requestId: 'test', timeoutMs: 20_000 };
}

async function errorOf(promise: Promise<unknown>): Promise<Pick<ServiceError, 'code' | 'message'>> {
  const outcome = await deadline(25_000, promise, 'the failure').catch((error: unknown) => error);
  assert.instance(outcome, Error);
  const { code, message } = outcome as ServiceError;
  return { code, message };
}

const statusOf = async (client: HttpsClient, request: HttpsRequest): Promise<number> =>
  (await deadline(15_000, client.request(request, never), 'the response')).status;

test('ends with its connections when it is idle, and the next request starts another one', async (context) => {
  const parts = rig(context);
  let closed = 0;
  let failed = 0;
  await using server = await serve(parts, ({ socket }) => {
    socket.once('close', () => closed++).once('error', () => failed++);
  });
  await using client = new HttpsClient({ idleMs: 200 });
  assert.is(await statusOf(client, get(parts, server.url('/0'))), 200);
  await until(10_000, 'the connection to be closed', () => closed === 1);
  assert.is(await statusOf(client, get(parts, server.url('/0'))), 200);
  assert.equal(
    server.requests.map(({ connection, resumed }) => [connection, resumed]),
    [
      [0, false],
      [1, false],
    ],
  );
  assert.is(failed, 0);
});

test('is not idle while a request is pending', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts);
  await using client = new HttpsClient({ idleMs: 100 });
  const long = statusOf(client, get(parts, server.url('/600')));
  assert.is(await statusOf(client, get(parts, server.url('/0'))), 200);
  assert.is(await long, 200);
  assert.is(await statusOf(client, get(parts, server.url('/600'))), 200);
});

test('is idle after a minute without a request', async (context) => {
  const parts = rig(context);
  let closed = 0;
  await using server = await serve(parts, ({ socket }, response) => {
    socket.once('close', () => closed++);
    response.end();
  });
  await using client = new HttpsClient();
  const request = get(parts, server.url('/0'));
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    for (let times = 0; times < 3; times++) {
      mock.timers.tick(59_999);
      await client.request(request, never);
    }
    mock.timers.tick(60_000);
  } finally {
    mock.timers.reset();
  }
  await until(10_000, 'the connection to be closed', () => closed > 0);
  assert.equal(
    server.requests.map(({ connection }) => connection),
    [0, 0, 0],
  );
});

test('is replaced for a request that comes while it ends', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts);
  const idleMs = 50;
  await using client = new HttpsClient({ idleMs });
  for (let times = 0; times < 5; times++) {
    assert.is(await statusOf(client, get(parts, server.url('/0'))), 200);
    await delay(idleMs); // a timer that expires right after the client's
  }
  assert.equal(
    server.requests.map(({ connection }) => connection),
    [0, 1, 2, 3, 4],
  );
});

/** A thread that runs a program of its own. */
const threadThat = (does: string): URL =>
  new URL(`data:text/javascript,${encodeURIComponent(does)}`);

const onMessage = (does: string): URL =>
  threadThat(
    `import { parentPort } from 'node:worker_threads'; parentPort.once('message', () => { ${does}; });`,
  );

for (const [how, file, reason] of [
  ['fails', onMessage("throw new Error('no memory')"), 'no memory'],
  ['ends', onMessage('process.exit(3)'), 'exit status 3'],
  ['fails at its start', threadThat("throw new Error('no memory')"), 'no memory'],
  ['ends at its start', threadThat('process.exit(3)'), 'exit status 3'],
  ['is missing', '/nowhere/worker.cjs', "Cannot find module '/nowhere/worker.cjs'"],
  ['cannot be started', new URL('https://localhost/worker.cjs'), 'The URL must be of scheme file'],
] as const) {
  test(`that ${how} makes pending requests Unavailable, and is replaced`, async (context) => {
    const parts = rig(context);
    await using client = new HttpsClient({ file });
    const request = get(parts, 'https://localhost:1/');
    for (let times = 0; times < 2; times++) {
      const all = [client.request(request, never), client.request(request, never)];
      for (const error of await Promise.all(all.map(errorOf))) {
        const message = `localhost:1: the TLS thread failed: ${reason}`;
        assert.equal(error, { code: 'Unavailable', message });
      }
    }
  });
}

/** Prints the status of two responses, and has nothing else to do. */
const askInTurn = (module: string): string => `
import { HttpsClient } from ${JSON.stringify(module)};
const [, , url, ca] = process.argv;
const client = new HttpsClient();
const request = { method: 'GET', url, ca, requestId: 'test', timeoutMs: 20_000 };
for (let times = 0; times < 2; times++) {
  console.log((await client.request(request, new AbortController().signal)).status);
}`;

test('keeps a process alive until each response, and no longer', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts);
  const script = askInTurn(new URL('../../../src/https/https-client.js', import.meta.url).href);
  const file = join(parts.pki.directory, 'ask-in-turn.mjs'); // a thread cannot be given --eval's options
  await writeFile(file, script);
  const words = [file, server.url('/300'), parts.pki.root.certificate];
  const { code, stdout, stderr } = await runCommand(process.execPath, words, { timeoutMs: 20_000 });
  assert.is(stdout.toString(), '200\n200\n', stderr);
  assert.is(code, 0);
});

/** Prints the failure of a request. */
const failToAsk = (module: string): string => `
import { HttpsClient } from ${JSON.stringify(module)};
const request = { method: 'GET', url: 'https://localhost:1/', requestId: 'test', timeoutMs: 20_000 };
await new HttpsClient().request(request, new AbortController().signal)
  .catch(({ code, message }) => console.log(code, message));`;

test('is Unavailable where its program is not installed', async (context) => {
  const directory = join(rig(context).pki.directory, 'incomplete');
  for (const part of ['https', 'native', 'errors.js', 'quoted.js']) {
    const from = join(import.meta.dirname, '../../../src', part);
    await cp(from, join(directory, 'src', part), { recursive: true });
  }
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  const file = join(directory, 'fail-to-ask.mjs');
  await writeFile(file, failToAsk(join(directory, 'src/https/https-client.js')));
  const { stdout, stderr } = await runCommand(process.execPath, [file], { timeoutMs: 20_000 });
  assert.is(
    stdout.toString(),
    'Unavailable localhost:1: the TLS thread failed: iotedge-tls-worker.cjs is not installed\n',
    stderr,
  );
});

test('starts no thread once it is closed', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts);
  const client = new HttpsClient();
  await client.request(get(parts, server.url('/0')), never);
  await client[Symbol.asyncDispose]();
  const error = await errorOf(client.request(get(parts, server.url('/0')), never));
  assert.equal([error.code, error.message], ['Unavailable', 'the HTTPS client is closed']);
  assert.is(server.requests.length, 1);
});

test.run();
