import { mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../../src/ids.ts';
import { apiServer, type RequestRecord } from '../../../../../src/modules/api/http/http.ts';
import { createSocketDirectory, serveSocket } from '../../../../../src/modules/api/http/socket.ts';
import { workloadRoutes } from '../../../../../src/modules/api/workload/workload.ts';
import {
  genid,
  notAfter,
  plainBackend,
  requestOn,
  version,
} from '../../../../support/workload/api.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';

interface Context {
  root: string;
  socketPath: string;
  server: AsyncDisposable;
}

const test = suite<Context>('workload API');
const own = parseModuleName('edgeAgent');
const records: RequestRecord[] = [];

test.before(async (context) => {
  context.root = await mkdtemp(join(tmpdir(), 'iotedge-workload-'));
  const parent = join(context.root, 'm'.repeat(120));
  const directory = await createSocketDirectory(parent, 'edgeAgent');
  context.socketPath = join(directory, 'workload.sock');
  await symlink(directory, join(context.root, 's'));
  shortPath = join(context.root, 's/workload.sock');
  const server = apiServer(workloadRoutes(own, plainBackend), {
    requestId: () => 'id-1',
    onRequest: (record) => records.push(record),
  });
  context.server = await serveSocket(
    { directory, name: 'workload.sock', mode: 0o666 },
    server,
    ownLimits(),
  );
});

test.after(async ({ server, root }) => {
  await server[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

// The path of the socket is longer than an address may be, as for a module with a long name.
let shortPath = '';

const ask = (method: string, path: string, body?: unknown) =>
  requestOn(shortPath, method, path, body);

const vector = Buffer.from('iv').toString('base64');
const aad = Buffer.concat([
  Buffer.from([0, 0, 0, 10]),
  Buffer.from('$edgeAgent'),
  Buffer.from([0, 0, 0, 5]),
  Buffer.from('gen/1'),
  Buffer.from([0, 0, 0, 2]),
  Buffer.from('iv'),
]);

test('creates a world-accessible socket below a private directory', async ({ socketPath }) => {
  const mode = async (path: string) => (await stat(path)).mode & 0o777;
  assert.is(await mode(socketPath), 0o666);
  assert.is(await mode(join(socketPath, '..')), 0o755);
  assert.is(await mode(join(socketPath, '../..')), 0o700);
});

test('signs requests of the SDK', async () => {
  const data = Buffer.from('resource\n1700000000').toString('base64');
  const body = { keyId: 'primary', algo: 'HMACSHA256', data };
  const { status, type, json } = await ask('POST', `${genid}/sign?${version}`, body);
  assert.is(status, 200);
  assert.is(type, 'application/json');
  const digest = Buffer.from(String(json['digest']), 'base64').toString();
  assert.is(digest, '$edgeAgent signs resource\n1700000000');
});

test('signs without algorithm and key id', async () => {
  for (const body of [{ data: '' }, { data: '', algo: null }, { data: '', algo: 'HmacSha256' }]) {
    assert.is((await ask('POST', `${genid}/sign?${version}`, body)).status, 200);
  }
});

test("accepts the module's name as its id, and a trailing slash at the list of modules alone", async () => {
  const body = { keyId: 'primary', algo: 'HMACSHA256', data: '' };
  const path = '/modules/edgeAgent/genid/gen%2F1/sign';
  assert.is((await ask('POST', `${path}?${version}`, body)).status, 200);
  assert.is((await ask('POST', `${path}/?${version}`, body)).status, 404);
  assert.is((await ask('GET', `/modules/?${version}`)).status, 200);
  assert.is((await ask('GET', `/trust-bundle/?${version}`)).status, 404);
});

test('refuses to sign with another algorithm', async () => {
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
    assert.is((await ask('POST', `${path}?${version}`, '{')).status, 422, 'before its module');
  }
});

test('returns the trust bundles', async () => {
  const bundle = await ask('GET', `/trust-bundle?${version}`);
  assert.equal([bundle.status, bundle.json], [200, { certificate: 'BUNDLE' }]);
  const manifest = await ask('GET', `/manifest-trust-bundle?${version}`);
  assert.equal([manifest.status, manifest.json], [200, { certificate: '' }]);
});

const owner = { 'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent' };

test('lists modules without environments and without labels, which may hold them', async () => {
  const { status, json } = await ask('GET', `/modules?${version}`);
  assert.is(status, 200);
  assert.equal(json['modules'], [
    {
      id: 'id',
      name: 'hub',
      type: 'docker',
      config: { settings: { image: 'hub:1', createOptions: { Labels: owner } }, env: [] },
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

test('responds with 400 to a ciphertext that cannot be decrypted and to malformed base64', async () => {
  const damaged = { ciphertext: '', initializationVector: vector };
  assert.is((await ask('POST', `${genid}/decrypt?${version}`, damaged)).status, 400);
  const wrong = { plaintext: '*', initializationVector: vector };
  assert.is((await ask('POST', `${genid}/encrypt?${version}`, wrong)).status, 400);
});

test('accepts vectors of 0 to 1024 bytes', async () => {
  const statusFor = async (verb: string, bytes: number) => {
    const initializationVector = Buffer.alloc(bytes, 7).toString('base64');
    const body = { plaintext: 'AAAA', ciphertext: 'AAAA', initializationVector };
    return (await ask('POST', `${genid}/${verb}?${version}`, body)).status;
  };
  for (const verb of ['encrypt', 'decrypt']) {
    for (const bytes of [0, 1, 12, 16, 200, 1024]) assert.is(await statusFor(verb, bytes), 200);
    assert.is(await statusFor(verb, 1025), 413);
  }
});

test('accepts 1 MiB of data and its ciphertext, and not a byte more', async () => {
  const initializationVector = '';
  const statusOf = async (verb: string, member: string, bytes: number) => {
    const body = { initializationVector, [member]: Buffer.alloc(bytes).toString('base64') };
    return (await ask('POST', `${genid}/${verb}?${version}`, body)).status;
  };
  for (const [verb, member, most] of [
    ['sign', 'data', 1 << 20],
    ['encrypt', 'plaintext', 1 << 20],
    ['decrypt', 'ciphertext', (1 << 20) + 29],
  ] as const) {
    assert.is(await statusOf(verb, member, most), 200, verb);
    assert.is(await statusOf(verb, member, most + 1), 413, verb);
  }
});

test('wipes plaintexts, also those of its responses', async () => {
  const secrets: Buffer[] = [];
  const keep = (bytes: Buffer): Promise<Buffer> => {
    secrets.push(bytes);
    return Promise.resolve(Buffer.from(bytes));
  };
  const decrypt = () => {
    const output = Buffer.from('plain');
    secrets.push(output);
    return Promise.resolve(output);
  };
  const routes = workloadRoutes(own, { ...plainBackend, encrypt: keep, decrypt });
  const kept = routes.map((route) => ({
    ...route,
    respond: async (request: Parameters<typeof route.respond>[0]) => {
      const reply = await route.respond(request);
      if (reply.secretJson !== undefined) secrets.push(reply.secretJson);
      return reply;
    },
  }));
  const server = apiServer(kept, { requestId: () => 'id', onRequest: () => {} });
  const directory = join(shortPath, '..');
  const place = { directory, name: 'kept.sock', mode: 0o600 };
  const listening = await serveSocket(place, server, ownLimits());
  const body = { plaintext: vector, ciphertext: vector, initializationVector: '' };
  for (const verb of ['encrypt', 'decrypt']) {
    const path = `${genid}/${verb}?${version}`;
    assert.is((await requestOn(join(directory, 'kept.sock'), 'POST', path, body)).status, 200);
  }
  await listening[Symbol.asyncDispose]();
  assert.is(secrets.length, 3);
  assert.ok(secrets.every((bytes) => bytes.every((byte) => byte === 0)));
});

test('refuses an expiration that is not an RFC 3339 time', async () => {
  const paths = [`${genid}/certificate/server`, '/modules/%24edgeAgent/certificate/identity'];
  const wrong = ['01/02/2031', '2031-01-02', '2031-01-02T03:04:05', '', 'tomorrow', 1925000000, {}];
  for (const path of paths) {
    for (const expiration of wrong) {
      const body = { commonName: 'edgeAgent', expiration };
      const { status, json } = await ask('POST', `${path}?${version}`, body);
      assert.is(status, 400, JSON.stringify(expiration));
      assert.match(String(json['message']), /RFC 3339/);
    }
    const unstated = { commonName: 'edgeAgent', expiration: null };
    assert.is((await ask('POST', `${path}?${version}`, unstated)).status, 201);
  }
});

test('returns certificates with their key', async () => {
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

test('reports failures, but does not disclose internal errors', async () => {
  const statuses = new Map([
    ['other', 403],
    ['later', 503],
    ['many', 503],
    ['broken', 500],
  ]);
  for (const [commonName, expected] of statuses) {
    const { status, reason, json } = await ask('POST', `${genid}/certificate/server?${version}`, {
      commonName,
    });
    assert.is(status, expected);
    assert.type(json['message'], 'string');
    assert.match(reason, /^[A-Z][a-z]+$/);
    assert.not.match(String(json['message']), /private detail/);
  }
});

test('requires a supported version', async () => {
  assert.is((await ask('GET', '/trust-bundle')).status, 400);
  assert.is((await ask('GET', '/trust-bundle?api-version=1')).status, 400);
  assert.is((await ask('GET', '/trust-bundle?api-version=2022-08-03')).status, 200);
  assert.is((await ask('GET', `/trust-bundle?api-version=1&${version}`)).status, 200);
  assert.is((await ask('GET', `/trust-bundle?${version}&api-version=1`)).status, 400);
  assert.is((await ask('GET', '/absent')).status, 400);
});

test('responds with 404 to an unknown path and with 400 to an unknown method', async () => {
  assert.is((await ask('GET', `/other?${version}`)).status, 404);
  assert.is((await ask('DELETE', `/trust-bundle?${version}`)).status, 400);
  assert.is((await ask('GET', `${genid}/sign?${version}`)).status, 400);
  // as a path it would be an unknown one
  assert.is((await ask('GET', `/trust-bundle/%ZZ?${version}`)).status, 400);
});

test('responds with 422 to a malformed body', async () => {
  for (const body of [
    '{',
    '[]',
    '{"algo":"HMACSHA256"}',
    '{"data":null}',
    '{"data":"","data":""}',
  ]) {
    assert.is((await ask('POST', `${genid}/sign?${version}`, body)).status, 422, body);
  }
  assert.is((await ask('POST', `${genid}/sign?${version}`)).status, 400);
});

test('reads only the members of a body that it uses', async () => {
  const sign = workloadRoutes(own, plainBackend).find(({ path }) => path.endsWith('/sign'));
  const members = { data: 'AAAA', algo: 'HMACSHA256' };
  const ownKeys = () => {
    throw new Error('all members are listed');
  };
  const body = new Proxy(members, { ownKeys });
  const { signal } = new AbortController();
  const hold = { leftMs: () => 0, wait: () => Promise.resolve() };
  const params = { module: '$edgeAgent', generation: 'gen/1' };
  const reply = await sign?.respond({
    params,
    query: new URLSearchParams(),
    body,
    requestId: 'id',
    signal,
    hold,
  });
  assert.is(reply?.status, 200);
});

test('records every request without its content', () => {
  assert.ok(records.length > 20);
  assert.ok(records.every((record) => record.requestId === 'id-1'));
  assert.not.match(JSON.stringify(records), /resource|KEY/);
});

test.run();
