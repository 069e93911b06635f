import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as assert from 'uvu/assert';
import { CKA, CKM, CKO } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import { encodeRequest } from '../../../../../src/keys/pkcs11/protocol/messages.ts';
import { operations, protocolVersion } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import type { Handle } from '../../../../../src/keys/pkcs11/protocol/values.ts';
import { until } from '../../../../support/deadline.ts';
import { occurrencesIn } from '../../../../support/keys/process-memory.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';
import { HostProcess } from '../../../../support/library/host-process.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('the process that owns a PKCS#11 library');
const pss = {
  type: 5,
  hashAlg: CKM.SHA256,
  mgf: 2,
  saltLen: 32,
} as const;

/** A process that has loaded SoftHSM, with an EC and an RSA pair in its token, and a pool that is logged in. */
async function open() {
  const token = await SoftToken.create();
  await token.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'ec', '--id', '01');
  const host = await HostProcess.load(softhsmPath);
  const slot = await slotOf(host);
  const pool = await openPool(host, slot);
  const find = async (label: string, objectClass: number): Promise<Handle> => {
    const template = [
      { type: CKA.CLASS, value: objectClass },
      { type: CKA.LABEL, value: label },
    ];
    const queries = [{ template, attributes: [] }];
    const [[found] = []] = await host.call(operations.find, { pool, queries });
    assert.ok(found, label);
    return found.handle;
  };
  const sign = async (key: Handle, data: Buffer, inPool = pool): Promise<Buffer> =>
    host.call(operations.sign, {
      pool: inPool,
      key,
      mechanism: { mechanism: CKM.ECDSA },
      data,
      pin: undefined,
    });
  const dispose = async () => {
    await host[Symbol.asyncDispose]();
    await token[Symbol.asyncDispose]();
  };
  return { token, host, slot, pool, find, sign, [Symbol.asyncDispose]: dispose };
}

async function slotOf(host: HostProcess): Promise<Handle> {
  const tokens = await host.call(operations.tokens, undefined);
  const found = tokens.find(({ info }) => info.label.startsWith('edge'));
  assert.ok(found);
  return found.slot;
}

async function openPool(host: HostProcess, slot: Handle): Promise<number> {
  const pool = await host.call(operations.open, { slot, isWritable: true, limit: 4 });
  assert.not(await host.call(operations.isUser, { pool }));
  await host.call(operations.login, { pool, pin: Buffer.from(userPin) });
  assert.ok(await host.call(operations.isUser, { pool }));
  return pool;
}

test('signs with a key that it finds, and reads attributes', async () => {
  await using opened = await open();
  const { host, pool, find, sign } = opened;
  const messages = Array.from({ length: 100 }, () => randomBytes(100));
  const digests = messages.map((message) => createHash('sha256').update(message).digest());
  const key = await find('ec', CKO.PRIVATE_KEY);
  const signatures = await Promise.all(digests.map((digest) => sign(key, digest)));
  const found = await host.call(operations.find, {
    pool,
    queries: [
      {
        template: [{ type: CKA.CLASS, value: CKO.PUBLIC_KEY }],
        attributes: [CKA.ID, CKA.MODULUS, CKA.EC_POINT],
      },
      { template: [{ type: CKA.LABEL, value: 'absent' }], attributes: [CKA.ID] },
    ],
  });
  assert.is(found.length, 2);
  assert.equal(found[1], []);
  const [id, modulus, point] = found[0]?.[0]?.values ?? [];
  assert.equal(id, Buffer.of(1));
  assert.is(modulus, undefined);
  assert.ok(point);
  const xy = point.subarray(-64);
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: xy.subarray(0, 32).toString('base64url'),
    y: xy.subarray(32).toString('base64url'),
  };
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
  for (const [index, signature] of signatures.entries()) {
    const message = messages[index] ?? Buffer.alloc(0);
    assert.ok(verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature));
  }
  const objects = [await find('ec', CKO.PUBLIC_KEY), key];
  const request = { pool, objects, attribute: CKA.EC_POINT };
  assert.equal(await host.call(operations.read, request), [point, undefined]);
});

test('generates, imports, uses and destroys keys', async () => {
  await using opened = await open();
  const { host, pool, find } = opened;
  const label = { type: CKA.LABEL, value: 'made' };
  await host.call(operations.generatePair, {
    pool,
    mechanism: { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
    publicKey: [label, { type: CKA.MODULUS_BITS, value: 2048 }, { type: CKA.TOKEN, value: true }],
    privateKey: [label, { type: CKA.SIGN, value: true }, { type: CKA.TOKEN, value: true }],
  });
  const use = { pool, key: await find('made', CKO.PRIVATE_KEY), pin: undefined };
  const mechanism = { mechanism: CKM.RSA_PKCS_PSS, parameter: pss };
  const data = randomBytes(32);
  assert.is((await host.call(operations.sign, { ...use, mechanism, data })).length, 256);
  const value = randomBytes(32);
  await host.call(operations.create, {
    pool,
    template: [
      { type: CKA.CLASS, value: CKO.SECRET_KEY },
      { type: CKA.KEY_TYPE, value: 0x1f },
      { type: CKA.LABEL, value: 'aes' },
      { type: CKA.ENCRYPT, value: true },
      { type: CKA.DECRYPT, value: true },
      { type: CKA.VALUE, value },
    ],
  });
  const iv = randomBytes(12);
  const parameter = { type: 3, iv, ivBits: 96, aad: Buffer.from('aad'), tagBits: 128 } as const;
  const gcm = { mechanism: CKM.AES_GCM, parameter };
  const aes = { pool, key: await find('aes', CKO.SECRET_KEY), pin: undefined, mechanism: gcm };
  const plaintext = Buffer.from('a secret of a module');
  const sealed = await host.call(operations.encrypt, { ...aes, data: plaintext });
  assert.equal(await host.call(operations.decrypt, { ...aes, data: sealed }), plaintext);
  await host.call(operations.destroy, { pool, objects: [aes.key, use.key] });
  const failure = await host.failure(operations.sign, { ...use, mechanism, data });
  assert.is(failure.kind, 'ckr');
});

test('names the function that failed', async () => {
  await using opened = await open();
  const { host, slot, pool } = opened;
  const fresh = await host.call(operations.open, { slot, isWritable: false, limit: 1 });
  const mechanism = { mechanism: CKM.ECDSA };
  const absent = { pool: fresh, key: Buffer.alloc(8, 9), mechanism, data: Buffer.alloc(32) };
  assert.equal(await host.failure(operations.sign, { ...absent, pin: undefined }), {
    kind: 'ckr',
    ckr: 'CKR_OBJECT_HANDLE_INVALID',
    call: 'C_SignInit',
  });
  await host.call(operations.restart, undefined);
  const next = await host.call(operations.open, { slot, isWritable: true, limit: 4 });
  assert.equal(await host.failure(operations.login, { pool: next, pin: Buffer.from('9999') }), {
    kind: 'ckr',
    ckr: 'CKR_PIN_INCORRECT',
    call: 'C_Login',
  });
  const wrongSlot = { slot: Buffer.alloc(8, 0xee), isWritable: true, limit: 1 };
  const failure = await host.failure(operations.open, wrongSlot);
  assert.equal(failure, { kind: 'ckr', ckr: 'CKR_SLOT_ID_INVALID', call: 'C_OpenSession' });
  assert.is((await host.failure(operations.tokenInfo, { slot: Buffer.alloc(3) })).kind, 'other');
  assert.equal(await host.failure(operations.isUser, { pool }), { kind: 'lost' });
});

test('logs in for a single operation, whose failure is that of C_Login', async () => {
  await using opened = await open();
  const { host, pool, find } = opened;
  const use = {
    pool,
    key: await find('ec', CKO.PRIVATE_KEY),
    mechanism: { mechanism: CKM.ECDSA },
    data: randomBytes(32),
  };
  const failure = await host.failure(operations.sign, { ...use, pin: Buffer.from('9999') });
  assert.is(failure.kind, 'ckr');
  assert.is(failure.kind === 'ckr' && failure.call, 'C_Login');
  // its session was closed, and with the last session the login
  await host.call(operations.login, { pool, pin: Buffer.from(userPin) });
  const key = await find('ec', CKO.PRIVATE_KEY);
  await host.call(operations.sign, { ...use, key, pin: undefined });
});

test('has no pool after it was closed, and none at all after a restart', async () => {
  await using opened = await open();
  const { host, slot, pool, find, sign } = opened;
  const key = await find('ec', CKO.PRIVATE_KEY);
  const other = await openPoolAgain(host, slot);
  await host.call(operations.close, { pool: other });
  assert.equal(await host.failure(operations.isUser, { pool: other }), { kind: 'lost' });
  await sign(key, randomBytes(32));
  const running = Promise.allSettled(Array.from({ length: 50 }, () => sign(key, randomBytes(32))));
  await host.call(operations.restart, undefined);
  await running;
  assert.equal(await host.failure(operations.isUser, { pool }), { kind: 'lost' });
  const again = await openPool(host, await slotOf(host));
  assert.ok(again > other, 'a number is not used again');
  const found = await host.call(operations.find, {
    pool: again,
    queries: [{ template: [{ type: CKA.CLASS, value: CKO.PRIVATE_KEY }], attributes: [] }],
  });
  await sign(found[0]?.[0]?.handle ?? key, randomBytes(32), again);
});

async function openPoolAgain(host: HostProcess, slot: Handle): Promise<number> {
  const pool = await host.call(operations.open, { slot, isWritable: false, limit: 1 });
  // a session of the process is logged in
  await host.call(operations.login, { pool, pin: Buffer.from('not needed') });
  return pool;
}

test('ends when the connection is closed, before and after it has a library', async () => {
  await using idle = new HostProcess();
  idle.socket.end();
  assert.is(await idle.exit(), 0);
  await using opened = await open();
  opened.host.socket.end();
  assert.is(await opened.host.exit(), 0);
});

test('ends with a failure at a request that is malformed', async () => {
  const unknown = encodeRequest(1, { ...operations.tokens, number: 200 }, undefined);
  const long = Buffer.from('ffffffff', 'hex');
  const cut = encodeRequest(1, operations.close, { pool: 1 }).subarray(0, -1);
  cut.writeUInt32LE(cut.length - 4);
  for (const bytes of [unknown, long, cut]) {
    await using host = new HostProcess();
    host.socket.write(bytes);
    assert.is(await host.exit(), 1);
    await until(10_000, 'the reason', () => host.stderr.includes('malformed request'));
  }
});

test('refuses a service of another release', async () => {
  await using host = new HostProcess();
  const failure = await host.failure(operations.load, {
    version: protocolVersion + 1,
    path: softhsmPath,
  });
  assert.is(failure.kind, 'other');
  assert.match(JSON.stringify(failure), 'restart the Keys service');
});

test('says why it cannot load a library, and loads one only', async () => {
  await using token = await SoftToken.create();
  assert.ok(token.directory);
  await using host = new HostProcess();
  const load = (path: string) => host.failure(operations.load, { version: protocolVersion, path });
  assert.match(JSON.stringify(await load('/absent.so')), '/absent.so');
  assert.match(JSON.stringify(await host.failure(operations.tokens, undefined)), 'no library');
  await host.call(operations.load, { version: protocolVersion, path: softhsmPath });
  assert.match(JSON.stringify(await load(softhsmPath)), 'already');
});

test('ignores the signals that are sent to a whole group of processes', async () => {
  await using opened = await open();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) opened.host.process.kill(signal);
  assert.ok(await opened.host.call(operations.isUser, { pool: opened.pool }));
});

test('sends the replies to the requests of one chunk together', async () => {
  await using opened = await open();
  const { host } = opened;
  const writes = async () =>
    Number(/syscw: (\d+)/.exec(await readFile(`/proc/${host.pid}/io`, 'utf8'))?.[1]);
  const before = await writes();
  host.socket.cork();
  const mechanism = { mechanism: CKM.ECDSA };
  const request = {
    pool: 99,
    key: Buffer.alloc(8),
    mechanism,
    data: randomBytes(32),
    pin: undefined,
  };
  const running = Array.from({ length: 200 }, () => host.failure(operations.sign, request));
  host.socket.uncork();
  await Promise.all(running);
  const count = (await writes()) - before;
  assert.ok(count < 100, `${count} writes`);
});

test('keeps nothing of what it signed and encrypted, nor of their results', async () => {
  await using opened = await open();
  const { host, pool, find, sign } = opened;
  const key = await find('ec', CKO.PRIVATE_KEY);
  const secret = randomBytes(32);
  const signature = await sign(key, secret);
  const sealed = randomBytes(64);
  const pin = randomBytes(20);
  const request = { pool: 77, key, mechanism: { mechanism: CKM.ECDSA }, data: sealed };
  await host.failure(operations.decrypt, { ...request, pin });
  await host.call(operations.isUser, { pool });
  // their replies are sent together
  const others = await Promise.all(Array.from({ length: 8 }, () => sign(key, secret)));
  for (const bytes of [secret, signature, sealed, pin, ...others]) {
    assert.is(await occurrencesIn(host.pid, bytes), 0);
  }
});

test('opens no debugger', async () => {
  await using one = await open();
  const { host } = one;
  host.process.kill('SIGUSR1');
  await host.call(operations.tokens, undefined);
  await host.call(operations.tokens, undefined);
  assert.not.match(host.stderr, 'Debugger');
});

test.run();
