import { once } from 'node:events';
import { mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { parseModuleName } from '../../../../src/ids.ts';
import { listener, type RequestRecord } from '../../../../src/modules/api/http.ts';
import { type ModuleSummary, moduleList } from '../../../../src/modules/api/module-list.ts';
import { makeSocketDirectory, serveSocket } from '../../../../src/modules/api/socket.ts';
import { type WorkloadBackend, workloadRoutes } from '../../../../src/modules/api/workload.ts';
import { deadline, until } from '../../../support/deadline.ts';

interface Context {
  root: string;
  socketPath: string;
  server: AsyncDisposable;
}

const test = suite<Context>('workload API');
const own = parseModuleName('edgeAgent');
const records: RequestRecord[] = [];
const notAfter = new Date('2026-02-01T00:00:00Z');

const modules: readonly ModuleSummary[] = [
  {
    name: 'hub',
    type: 'docker',
    image: 'hub:1',
    labels: { mine: 'x', 'net.azure-devices.edge.env': 'SECRET=1' },
    status: { runtimeStatus: 'failed', startTime: notAfter, exit: { code: 3, time: notAfter } },
  },
];

const backend: WorkloadBackend = {
  identity: (moduleId) => Promise.resolve({ moduleId, generationId: 'gen/1' }),
  modules: () => Promise.resolve(Buffer.from(JSON.stringify(moduleList(modules)))),
  trustBundle: () => Promise.resolve('BUNDLE'),
  manifestTrustBundle: () => Promise.resolve(''),
  sign: (moduleId, data) => Promise.resolve(Buffer.from(`${moduleId} signs ${data.toString()}`)),
  encrypt: (plaintext, aad) => Promise.resolve(Buffer.concat([plaintext, aad])),
  decrypt: (ciphertext, aad) => {
    if (ciphertext.length === 0) throw new ServiceError('InvalidArgs', 'cannot be decrypted');
    return Promise.resolve(Buffer.concat([ciphertext, aad]));
  },
  certificate: (_module, wish) => {
    if (wish.commonName === 'other') throw new ServiceError('AccessDenied', 'not its name');
    if (wish.commonName === 'broken') throw new Error('private detail');
    if (wish.commonName === 'later') throw new ServiceError('Unavailable', 'not now');
    return Promise.resolve({
      chainPem: `${wish.purpose} ${wish.commonName} ${wish.notAfter?.toISOString() ?? ''}`,
      notAfter,
      privateKeyPem: Buffer.from('KEY\nLINE\n'),
    });
  },
};

test.before(async (context) => {
  context.root = await mkdtemp(join(tmpdir(), 'iotedge-workload-'));
  const parent = join(context.root, 'm'.repeat(120));
  const directory = await makeSocketDirectory(parent, 'edgeAgent');
  context.socketPath = join(directory, 'workload.sock');
  await symlink(directory, join(context.root, 's'));
  shortPath = join(context.root, 's/workload.sock');
  const handle = listener(workloadRoutes(own, backend), {
    signal: new AbortController().signal,
    requestId: () => 'id-1',
    onRequest: (record) => records.push(record),
  });
  context.server = await serveSocket({ directory, name: 'workload.sock', mode: 0o666 }, handle);
});

test.after(async ({ server, root }) => {
  await server[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

// The socket's path is longer than an address may be, as it is for a module with a long name.
let shortPath = '';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly json: Readonly<Record<string, unknown>>;
}

function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: shortPath, method, path, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          json: JSON.parse(Buffer.concat(chunks).toString()) as Answer['json'], // checked by each test
        }),
      );
    });
    call.on('error', reject);
    call.end(text);
  });
}

const version = 'api-version=2018-06-28';
const genid = '/modules/%24edgeAgent/genid/gen%2F1';
const vector = Buffer.from('iv').toString('base64');
const aad = Buffer.concat([
  Buffer.from([0, 0, 0, 10]),
  Buffer.from('$edgeAgent'),
  Buffer.from([0, 0, 0, 5]),
  Buffer.from('gen/1'),
  Buffer.from([0, 0, 0, 2]),
  Buffer.from('iv'),
]);

test('makes a socket for everybody in a directory below one for nobody', async ({ socketPath }) => {
  const mode = async (path: string) => (await stat(path)).mode & 0o777;
  assert.is(await mode(socketPath), 0o666);
  assert.is(await mode(join(socketPath, '..')), 0o755);
  assert.is(await mode(join(socketPath, '../..')), 0o700);
});

test('signs as the SDK asks for it', async () => {
  const data = Buffer.from('resource\n1700000000').toString('base64');
  const body = { keyId: 'primary', algo: 'HMACSHA256', data };
  const { status, type, json } = await ask('POST', `${genid}/sign?${version}`, body);
  assert.is(status, 200);
  assert.is(type, 'application/json');
  const digest = Buffer.from(String(json['digest']), 'base64').toString();
  assert.is(digest, '$edgeAgent signs resource\n1700000000');
});

test("takes the module's name for its id, and a trailing slash", async () => {
  const body = { keyId: 'primary', algo: 'HMACSHA256', data: '' };
  const path = `/modules/edgeAgent/genid/gen%2F1/sign/?${version}`;
  assert.is((await ask('POST', path, body)).status, 200);
});

test('refuses to sign by another algorithm', async () => {
  const body = { keyId: 'primary', algo: 'HMACSHA1', data: '' };
  assert.is((await ask('POST', `${genid}/sign?${version}`, body)).status, 400);
});

test('refuses another module and another generation', async () => {
  const body = { keyId: 'primary', algo: 'HMACSHA256', data: '' };
  const paths = [
    '/modules/other/genid/gen%2F1/sign',
    '/modules/%24edgeHub/genid/gen%2F1/sign',
    '/modules/edgeAgent/genid/2/sign',
    '/modules/other/certificate/identity',
  ];
  for (const path of paths) {
    const { status, json } = await ask('POST', `${path}?${version}`, body);
    assert.is(status, 403, path);
    assert.type(json['message'], 'string');
  }
});

test('answers the trust bundles', async () => {
  const bundle = await ask('GET', `/trust-bundle?${version}`);
  assert.equal([bundle.status, bundle.json], [200, { certificate: 'BUNDLE' }]);
  const manifest = await ask('GET', `/manifest-trust-bundle?${version}`);
  assert.equal([manifest.status, manifest.json], [200, { certificate: '' }]);
});

test("lists modules without environments and without tools' labels", async () => {
  const { status, json } = await ask('GET', `/modules?${version}`);
  assert.is(status, 200);
  assert.equal(json['modules'], [
    {
      id: 'id',
      name: 'hub',
      type: 'docker',
      config: { settings: { image: 'hub:1', createOptions: { Labels: { mine: 'x' } } }, env: [] },
      status: {
        startTime: '2026-02-01T00:00:00.000Z',
        exitStatus: { exitTime: '2026-02-01T00:00:00.000Z', statusCode: '3' },
        runtimeStatus: { status: 'failed' },
      },
    },
  ]);
});

test('binds a ciphertext to module, generation and vector, each with its length', async () => {
  const plaintext = Buffer.from('plain').toString('base64');
  const sealed = await ask('POST', `${genid}/encrypt?${version}`, {
    plaintext,
    initializationVector: vector,
  });
  assert.is(sealed.status, 200);
  const expected = Buffer.concat([Buffer.from('plain'), aad]).toString('base64');
  assert.is(sealed.json['ciphertext'], expected);
  const opened = await ask('POST', `${genid}/decrypt?${version}`, {
    ciphertext: plaintext,
    initializationVector: vector,
  });
  assert.equal([opened.status, opened.json['plaintext']], [200, expected]);
});

test('says 400 for a ciphertext that cannot be decrypted and for what is not base64', async () => {
  const damaged = { ciphertext: '', initializationVector: vector };
  assert.is((await ask('POST', `${genid}/decrypt?${version}`, damaged)).status, 400);
  const wrong = { plaintext: '*', initializationVector: vector };
  assert.is((await ask('POST', `${genid}/encrypt?${version}`, wrong)).status, 400);
});

test('answers certificates with their key', async () => {
  const body = { commonName: 'edgeAgent', expiration: '2026-01-02T00:00:00Z' };
  const server = await ask('POST', `${genid}/certificate/server?${version}`, body);
  assert.is(server.status, 201);
  assert.equal(server.json, {
    privateKey: { type: 'key', bytes: 'KEY\nLINE\n' },
    certificate: 'server edgeAgent 2026-01-02T00:00:00.000Z',
    expiration: notAfter.toISOString(),
  });
  const identity = await ask('POST', `/modules/%24edgeAgent/certificate/identity?${version}`);
  assert.equal([identity.status, identity.json['certificate']], [201, 'identity $edgeAgent ']);
});

test('says what a failure is, and nothing about what is broken inside', async () => {
  const statuses = new Map([
    ['other', 403],
    ['later', 503],
    ['broken', 500],
  ]);
  for (const [commonName, expected] of statuses) {
    const { status, json } = await ask('POST', `${genid}/certificate/server?${version}`, {
      commonName,
    });
    assert.is(status, expected);
    assert.not.match(String(json['message']), /private detail/);
  }
});

test('wants a version that it knows', async () => {
  assert.is((await ask('GET', '/trust-bundle')).status, 400);
  assert.is((await ask('GET', '/trust-bundle?api-version=1')).status, 400);
  assert.is((await ask('GET', '/trust-bundle?api-version=2022-08-03')).status, 200);
});

test('says 404 for an unknown path and 400 for an unknown method', async () => {
  assert.is((await ask('GET', `/other?${version}`)).status, 404);
  assert.is((await ask('DELETE', `/trust-bundle?${version}`)).status, 400);
  assert.is((await ask('GET', `${genid}/sign?${version}`)).status, 400);
  assert.is((await ask('POST', `/modules/%ZZ/certificate/identity?${version}`)).status, 400);
});

test('says 422 for a body that is not what it should be', async () => {
  for (const body of ['{', '[]', '{"algo":1,"data":""}', '']) {
    assert.is((await ask('POST', `${genid}/sign?${version}`, body)).status, 422, body);
  }
});

test('says 413 for a body that is too long', async () => {
  const body = { keyId: 'primary', algo: 'HMACSHA256', data: 'A'.repeat(3 << 20) };
  const status = await ask('POST', `${genid}/sign?${version}`, body).then(
    (answer) => answer.status,
    (error: NodeJS.ErrnoException) => error.code, // closed while we were still sending
  );
  assert.ok(status === 413 || status === 'EPIPE' || status === 'ECONNRESET', String(status));
});

test('says 408 for a body that does not come', async () => {
  const socket = connect(shortPath);
  socket.write(`POST ${genid}/sign?${version} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{`);
  const [line] = await new Promise<string[]>((resolve) => {
    socket.once('data', (chunk) => resolve(chunk.toString().split('\r\n')));
  });
  socket.destroy();
  assert.is(line, 'HTTP/1.1 408 Request Timeout');
});

test('answers few requests of one connection at once, and refuses a flood of them', async () => {
  const statuses: number[] = [];
  const gate = new AbortController();
  let busy = 0;
  let most = 0;
  const openWhenFull = (): void => {
    if (statuses.length === 464 && busy === 4) gate.abort();
  };
  const slow: WorkloadBackend = {
    ...backend,
    trustBundle: async () => {
      most = Math.max(most, ++busy);
      openWhenFull();
      if (!gate.signal.aborted) await once(gate.signal, 'abort');
      busy--;
      return '';
    },
  };
  const root = await mkdtemp(join(tmpdir(), 'iotedge-flood-'));
  const answer = listener(workloadRoutes(own, slow), {
    signal: new AbortController().signal,
    requestId: () => 'id-2',
    onRequest: ({ status }) => {
      statuses.push(status);
      openWhenFull();
    },
  });
  await using server = await serveSocket({ directory: root, name: 'w.sock', mode: 0o666 }, answer);
  const socket = connect(join(root, 'w.sock'));
  socket.resume();
  const one = 'GET /trust-bundle?api-version=2022-08-03 HTTP/1.1\r\nHost: x\r\n\r\n';
  socket.write(one.repeat(500));
  await until(10_000, 'every answer', () => statuses.length === 500);
  assert.is(most, 4);
  assert.is(statuses.filter((status) => status === 503).length, 464);
  assert.is(statuses.filter((status) => status === 200).length, 36);
  socket.destroy();
  void server;
  await rm(root, { recursive: true });
});

test('reads no body before its turn', async () => {
  let signing = 0;
  const stuck: WorkloadBackend = {
    ...backend,
    sign: () => {
      signing++;
      return new Promise(() => {});
    },
  };
  const root = await mkdtemp(join(tmpdir(), 'iotedge-bodies-'));
  const answer = listener(workloadRoutes(own, stuck), {
    signal: new AbortController().signal,
    requestId: () => 'id-3',
    onRequest: () => {},
  });
  const server = await serveSocket({ directory: root, name: 'w.sock', mode: 0o666 }, answer);
  const socket = connect(join(root, 'w.sock'));
  socket.on('error', () => {});
  const body = JSON.stringify({ algo: 'HMACSHA256', data: 'A'.repeat(1 << 20) });
  const path = '/modules/edgeAgent/genid/gen%2F1/sign?api-version=2022-08-03';
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  for (let left = 50; left > 0; left--) socket.write(head + body);
  await until(10_000, 'four to be signed', () => signing === 4);
  await sleep(500);
  assert.ok(socket.writableLength > 40 << 20, `${socket.writableLength} bytes are still here`);
  assert.is(signing, 4);
  socket.destroy();
  await server[Symbol.asyncDispose]();
  await rm(root, { recursive: true });
});

test('closes a connection on which no request is finished in time', async () => {
  for (const beginning of ['', 'GET /modules HTTP/1.1\r\nHo']) {
    const socket = connect(shortPath);
    socket.resume();
    socket.write(beginning);
    // The default of Node is half a minute.
    await deadline(20_000, once(socket, 'close'), 'the connection to close');
  }
});

test('refuses a header that is too long', async () => {
  const socket = connect(shortPath);
  socket.write(`GET /modules?api-version=2022-08-03 HTTP/1.1\r\nX: ${'x'.repeat(64 << 10)}`);
  const received: unknown[] = await deadline(10_000, once(socket, 'data'), 'an answer');
  assert.match(String(received[0]), /^HTTP\/1\.1 431 /);
  socket.destroy();
});

test('records every request without its content', () => {
  assert.ok(records.length > 20);
  assert.ok(records.every((record) => record.requestId === 'id-1'));
  assert.not.match(JSON.stringify(records), /resource|KEY/);
});

test.run();
