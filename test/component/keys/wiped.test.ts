import {
  constants,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  KeyObject,
  privateDecrypt,
  randomBytes,
} from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import { parseKeyId } from '../../../src/ids.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { KeyCatalog } from '../../../src/keys/catalog.ts';
import { readPreloaded } from '../../../src/keys/file/preloaded.ts';
import { FileStore } from '../../../src/keys/file/store.ts';
import { keysHandlers } from '../../../src/keys/handlers.ts';
import { KeyOperations } from '../../../src/keys/key-operations.ts';
import { tlv } from '../../../src/keys/material/der.ts';
import { toBigInt, withEcScalar, withRsaParts } from '../../../src/keys/material/private-parts.ts';
import { randomSecret, secretBytes } from '../../../src/keys/material/secret-bytes.ts';
import { PinGuard } from '../../../src/keys/pkcs11/library/pin-guard.ts';
import { openTokenKeyRecords } from '../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store } from '../../../src/keys/pkcs11/store.ts';
import { KeyService } from '../../../src/keys/service.ts';
import { soon } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { infoIn } from '../../support/keys/key-store-contract.ts';
import { SoftToken, softhsmPath, userPin } from '../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../support/library/in-process-library.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

const test = suite('key material in memory');

const call = { cancellation: soon() } as Partial<CallContext> as CallContext; // the members that the handlers use

/** The methods of the manager over files, one of which is preloaded, and a token. */
class Fixture implements AsyncDisposable {
  readonly methods: ReturnType<typeof keysHandlers>;
  readonly #soft: SoftToken;
  readonly #pkcs11: Pkcs11Store;
  readonly #library: InProcessLibrary;

  private constructor(
    soft: SoftToken,
    library: InProcessLibrary,
    stores: [FileStore, Pkcs11Store],
  ) {
    const [file, pkcs11] = stores;
    const dispose = async () => undefined;
    const defaults = { pair: 'file', symmetric: 'file' } as const;
    const all = { file, pkcs11, defaults, [Symbol.asyncDispose]: dispose };
    const objects = new ShownObjects(keysService);
    const keys = new KeyService(all, new KeyCatalog(objects));
    this.methods = keysHandlers(keys, { operations: new KeyOperations(keys), objects });
    this.#soft = soft;
    this.#library = library;
    this.#pkcs11 = pkcs11;
  }

  static async start(): Promise<Fixture> {
    const soft = await SoftToken.create();
    const library = new InProcessLibrary(softhsmPath);
    const preloaded = new Map([
      [parseKeyId('preloaded'), { path: join(soft.directory, 'absent'), usages: undefined }],
    ]);
    const pin = { kind: 'value', value: userPin } as const;
    const pkcs11 = new Pkcs11Store({
      base: { library, selector: { slotId: 0 }, pin },
      preloaded: new Map(),
      usages: new Map(),
      records: await openTokenKeyRecords(join(soft.directory, 'records')),
      guard: await PinGuard.open(join(soft.directory, 'refused-pins')),
    });
    const file = await FileStore.open(join(soft.directory, 'keys'), preloaded);
    return new Fixture(soft, library, [file, pkcs11]);
  }

  /** The result of an import with these arguments, `no failure` for success. */
  import(material: Buffer, given: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const { options, ...other } = given;
    const fallback = { format: 'raw', algorithm: 'hmac-sha256', usages: [] };
    const args = { key_id: parseKeyId('new'), ...fallback, ...other };
    const all = { ...args, material, options: options ?? {} };
    return failureOf(Promise.resolve(this.methods.ImportKey(all, call)));
  }

  /** Makes every write to the key files fail. */
  async breakFiles(): Promise<void> {
    const path = join(this.#soft.directory, 'keys');
    await rm(path, { recursive: true });
  }

  async mendFiles(): Promise<void> {
    await mkdir(join(this.#soft.directory, 'keys'), { mode: 0o700 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pkcs11[Symbol.asyncDispose]();
    await this.#library[Symbol.asyncDispose]();
    await this.#soft[Symbol.asyncDispose]();
  }
}

/** Every buffer that is allocated while `run` runs and still contains the secret afterwards. */
async function lingering(secret: Buffer, run: () => Promise<unknown>): Promise<number> {
  const made = new Set<Buffer>();
  const undo: (() => void)[] = [];
  const watch = (owner: object, name: string) => {
    const before: unknown = Reflect.get(owner, name);
    if (typeof before !== 'function') throw new TypeError(`no function ${name}`);
    const watched = function (this: unknown, ...args: unknown[]): unknown {
      const result: unknown = Reflect.apply(before, this, args);
      if (Buffer.isBuffer(result)) made.add(result);
      return result;
    };
    Reflect.set(owner, name, watched);
    undo.push(() => void Reflect.set(owner, name, before));
  };
  for (const name of ['from', 'alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat']) {
    watch(Buffer, name);
  }
  // the classes of private and secret keys are not named by node:crypto
  const { privateKey } = generateKeyPairSync('ed25519');
  for (let owner: unknown = Object.getPrototypeOf(privateKey); owner !== KeyObject.prototype; ) {
    if (typeof owner !== 'object' || owner === null) break;
    if (Object.hasOwn(owner, 'export')) watch(owner, 'export');
    owner = Object.getPrototypeOf(owner);
  }
  const decipher = createDecipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12));
  watch(Reflect.getPrototypeOf(decipher) ?? decipher, 'update');
  try {
    await run();
  } finally {
    for (const restore of undo) restore();
  }
  return [...made].filter((buffer) => buffer.includes(secret)).length;
}

function isWiped(buffer: Buffer): boolean {
  return buffer.every((byte) => byte === 0);
}

function pkcs8(type: 'rsa' | 'ec' | 'ed25519'): { der: Buffer; secret: Buffer } {
  const { privateKey } =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : type === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
        : generateKeyPairSync('ed25519');
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const { d = '' } = privateKey.export({ format: 'jwk' });
  return { der, secret: Buffer.from(d, 'base64url').subarray(0, 16) };
}

test('is found where it remains, so that the other tests can fail', async () => {
  const secret = randomBytes(16);
  const { privateKey } = generateKeyPairSync('ed25519');
  const { d = '' } = privateKey.export({ format: 'jwk' });
  const part = Buffer.from(d, 'base64url');
  assert.is(await lingering(secret, async () => Buffer.concat([secret, Buffer.of(1)])), 1);
  const der = async () => privateKey.export({ type: 'pkcs8', format: 'der' });
  assert.is(await lingering(part, der), 1);
});

for (const store of ['file', 'pkcs11'] as const) {
  test(`is wiped in every copy after an import into ${store}`, async () => {
    await using fixture = await Fixture.start();
    const raw = randomBytes(32);
    const secret = Buffer.from(raw.subarray(0, 16));
    const options = { store };
    const left = await lingering(secret, async () => {
      assert.is(await fixture.import(raw, { options }), 'no failure');
    });
    assert.is(left, 0);
    assert.ok(isWiped(raw));
    for (const type of ['rsa', 'ec'] as const) {
      const { der, secret: part } = pkcs8(type);
      const arguments_ = { key_id: type, format: 'pkcs8', algorithm: '', options };
      const copies = await lingering(part, async () => {
        assert.is(await fixture.import(der, arguments_), 'no failure');
      });
      assert.is(copies, 0, type);
      assert.ok(isWiped(der));
    }
  });
}

test('is wiped whatever an import fails of', async () => {
  await using fixture = await Fixture.start();
  assert.is(await fixture.import(randomBytes(32), { key_id: 'taken' }), 'no failure');
  const raw = () => randomBytes(32);
  const { der } = pkcs8('ed25519');
  const cases: readonly (readonly [string, Buffer, Readonly<Record<string, unknown>>])[] = [
    ['InvalidArgs', raw(), { format: 'pem' }],
    ['InvalidArgs', raw(), { algorithm: 'md5' }],
    ['InvalidArgs', raw(), { algorithm: '' }],
    ['InvalidArgs', randomBytes(31), { algorithm: 'aes-256' }],
    ['InvalidArgs', raw(), { usages: ['fly'] }],
    ['InvalidArgs', raw(), { format: 'pkcs8', algorithm: '' }],
    ['InvalidArgs', Buffer.from(der), { format: 'pkcs8' }],
    ['InvalidArgs', raw(), { options: { if_exists: 'maybe' } }],
    ['InvalidArgs', raw(), { options: { export_derived: true } }],
    ['InvalidArgs', raw(), { options: { store: 'paper' } }],
    ['AlreadyExists', raw(), { key_id: 'taken' }],
    ['no failure', raw(), { key_id: 'taken', options: { if_exists: 'keep' } }],
    ['NotSupported', raw(), { key_id: 'preloaded', options: { if_exists: 'replace' } }],
    [
      'NotSupported',
      raw(),
      { key_id: 'taken', options: { if_exists: 'replace', store: 'pkcs11' } },
    ],
    ['NotSupported', raw(), { options: { store: 'pkcs11', exportable: true } }],
    [
      'NotSupported',
      der,
      { format: 'pkcs8', algorithm: '', options: { store: 'pkcs11' }, key_id: 'ed' },
    ],
  ];
  for (const [expected, material, given] of cases) {
    const what = `${expected} ${JSON.stringify(given)}`;
    const secret = Buffer.from(material.subarray(-16));
    const left = await lingering(secret, async () => {
      assert.is(await fixture.import(material, given), expected, what);
    });
    assert.is(left, 0, what);
    assert.ok(isWiped(material), what);
  }
});

test('is wiped when the file of a key cannot be written', async () => {
  await using fixture = await Fixture.start();
  await fixture.breakFiles();
  const material = randomBytes(32);
  const secret = Buffer.from(material.subarray(0, 16));
  const left = await lingering(secret, async () => {
    assert.is.not(await fixture.import(material), 'no failure');
  });
  await fixture.mendFiles();
  assert.is(left, 0);
  assert.ok(isWiped(material));
});

test('is wiped in every copy after a pair was created in a file, and after it was exported', async () => {
  await using fixture = await Fixture.start();
  const { methods } = fixture;
  const secret = Buffer.alloc(16);
  const left = await lingering(secret, async () => {
    const made = { key_id: parseKeyId('made'), algorithms: ['ed25519'], usages: [] };
    await methods.CreateKeyPair({ ...made, options: { exportable: true } }, call);
    const wanted = { key_id: parseKeyId('made'), format: 'pkcs8', options: {} };
    const { material } = await methods.ExportKey(wanted, call);
    // the seed is the end of the PKCS#8; the dispatcher wipes exported material
    material.copy(secret, 0, material.length - 16);
    material.fill(0);
  });
  assert.not.ok(isWiped(secret));
  assert.is(left, 0);
});

test('of a plaintext is wiped after Encrypt, whether it succeeds or not', async () => {
  await using fixture = await Fixture.start();
  const box = { algorithm: 'aes-256', key_id: parseKeyId('box') };
  assert.is(await fixture.import(randomBytes(32), box), 'no failure');
  const encrypt = (input: Buffer, given: object = {}) =>
    failureOf(
      Promise.resolve(
        fixture.methods.Encrypt(
          { key_id: parseKeyId('box'), mechanism: 'aes-256-gcm', input, options: {}, ...given },
          call,
        ),
      ),
    );
  for (const [expected, given] of [
    ['no failure', {}],
    ['InvalidArgs', { mechanism: 'rot13' }],
    ['NotFound', { key_id: parseKeyId('absent') }],
    ['NotSupported', { options: { derivation: Buffer.from('x') } }],
  ] as const) {
    const input = randomBytes(32);
    assert.is(await encrypt(input, given), expected);
    assert.ok(isWiped(input), expected);
  }
});

for (const store of ['file', 'pkcs11'] as const) {
  test(`of a derived key is wiped after its use in ${store}`, async () => {
    const base = randomBytes(32);
    const derivation = Buffer.from('module');
    const secret = createHmac('sha256', base).update(derivation).digest().subarray(0, 16);
    const use = { key_id: parseKeyId('base'), mechanism: 'hmac-sha256', options: { derivation } };
    const left = await lingering(secret, async () => {
      await using fixture = await Fixture.start();
      const options = { store, export_derived: true };
      const usages = ['sign', 'derive'];
      assert.is(
        await fixture.import(base, { key_id: parseKeyId('base'), usages, options }),
        'no failure',
      );
      await fixture.methods.Sign({ ...use, data: Buffer.from('data') }, call);
    });
    assert.is(left, 0);
  });
}

for (const store of ['file', 'pkcs11'] as const) {
  test(`of a plaintext remains only in the reply after Decrypt in ${store}`, async () => {
    await using fixture = await Fixture.start();
    const { methods } = fixture;
    const options = { store };
    const rsa = {
      key_id: parseKeyId('rsa'),
      algorithms: ['rsa-2048'],
      usages: ['decrypt'],
      options,
    };
    await methods.CreateKeyPair(rsa, call);
    const base = { key_id: parseKeyId('base'), usages: ['encrypt', 'derive'] };
    await methods.CreateKey({ ...base, algorithm: 'aes-256', options }, call);
    await methods.CreateKey(
      { key_id: parseKeyId('box'), algorithm: 'aes-256', usages: [], options },
      call,
    );
    for (const [key_id, mechanism, more] of [
      ['box', 'aes-256-gcm', {}],
      ['base', 'aes-256-gcm', { derivation: Buffer.from('x') }],
      ['rsa', 'rsa-oaep-sha256', {}],
    ] as const) {
      const secret = randomBytes(32);
      const use = { key_id: parseKeyId(key_id), mechanism, options: more };
      const { output } = await methods.Encrypt({ ...use, input: Buffer.from(secret) }, call);
      const replies: Buffer[] = [];
      const left = await lingering(secret, async () => {
        const reply = await methods.Decrypt({ ...use, input: output }, call);
        replies.push(reply.output);
        assert.equal(reply.output, secret);
        // the dispatcher wipes it when it is sent
        reply.output.fill(0);
      });
      assert.is(replies.length, 1);
      assert.is(left, 0, `${key_id} in ${store}`);
    }
  });
}

test('of a ciphertext of another origin is wiped', async () => {
  await using fixture = await Fixture.start();
  const { methods } = fixture;
  await methods.CreateKey(
    { key_id: parseKeyId('box'), algorithm: 'aes-256', usages: [], options: {} },
    call,
  );
  const use = { key_id: parseKeyId('box'), mechanism: 'aes-256-gcm', options: {} };
  const secret = randomBytes(32);
  const { output } = await methods.Encrypt({ ...use, input: Buffer.from(secret) }, call);
  output[output.length - 1] = (output[output.length - 1] ?? 0) ^ 1;
  const left = await lingering(secret, async () => {
    const attempt = Promise.resolve(methods.Decrypt({ ...use, input: output }, call));
    assert.is(await failureOf(attempt), 'InvalidArgs');
  });
  assert.is(left, 0);
});

test('of the OAEP block is wiped when a token has decrypted it', async () => {
  await using fixture = await Fixture.start();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const options = { store: 'pkcs11' };
  const given = {
    key_id: parseKeyId('rsa'),
    format: 'pkcs8',
    algorithm: '',
    usages: ['decrypt'],
    options,
  };
  assert.is(await fixture.import(der, given), 'no failure');
  const use = { key_id: parseKeyId('rsa'), mechanism: 'rsa-oaep-sha256', options: {} };
  const { output } = await fixture.methods.Encrypt({ ...use, input: randomBytes(32) }, call);
  const key = { key: privateKey, padding: constants.RSA_NO_PADDING };
  const block = privateDecrypt(key, output.subarray(1));
  const left = await lingering(block.subarray(-64), async () => {
    await fixture.methods.Decrypt({ ...use, input: output }, call);
  });
  assert.is(left, 0);
});

test('of a preloaded file is wiped, whatever its content', async () => {
  const place = await mkdtemp(join(tmpdir(), 'iotedge-wiped-'));
  const path = join(place, 'key');
  try {
    const { der, secret } = pkcs8('ec');
    const raw = randomBytes(32);
    const broken = Buffer.concat([Buffer.of(0x30, 0x82), randomBytes(60)]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    // within a line, which OpenSSL does not read
    const pem = `  ${key.export({ type: 'sec1', format: 'pem' }).toString()}`;
    const ed = pkcs8('ed25519');
    const half = createPublicKey(createPrivateKey({ key: ed.der, format: 'der', type: 'pkcs8' }));
    const bits = half.export({ type: 'spki', format: 'der' }).subarray(-32);
    const addition = tlv(0x81, Buffer.of(0), bits);
    const version2 = tlv(0x30, Buffer.of(2, 1, 1), ed.der.subarray(5), addition);
    for (const [what, content, part] of [
      ['DER', der, secret],
      ['version 2 of PKCS#8', version2, ed.secret],
      ['raw bytes', raw, Buffer.from(raw.subarray(0, 16))],
      ['no key', broken, Buffer.from(broken.subarray(-16))],
      ['PEM', Buffer.from(pem), Buffer.from(pem.slice(60, 76))],
      ['what PEM says', Buffer.from(pem), secret],
    ] as const) {
      await writeFile(path, content);
      const left = await lingering(part, async () => {
        await readPreloaded(parseKeyId('x'), { path, usages: undefined });
      });
      assert.is(left, 0, what);
    }
  } finally {
    await rm(place, { recursive: true });
  }
});

test('of a key in a file is wiped after it was read at the start', async () => {
  const place = await mkdtemp(join(tmpdir(), 'iotedge-wiped-'));
  try {
    const id = parseKeyId('x');
    const bytes = randomBytes(32);
    const material = { kind: 'raw', algorithm: 'hmac-sha256', bytes } as const;
    const attributes = { usages: ['sign'], exportable: false, exportDerived: false } as const;
    const first = await FileStore.open(place);
    await first.importKey(id, material, attributes);
    const secret = Buffer.from(bytes.subarray(0, 16));
    const left = await lingering(secret, async () => {
      const again = await FileStore.open(place);
      assert.is((await infoIn(again, id))?.state, 'ok');
    });
    assert.is(left, 0);
  } finally {
    await rm(place, { recursive: true });
  }
});

test('that is short is allocated outside the heap of V8, where nothing is moved', () => {
  for (const size of [16, 32, 64]) {
    const [zeros, random] = [secretBytes(size), randomSecret(size)];
    assert.is(zeros.length, size);
    assert.ok(isWiped(zeros));
    assert.not(isWiped(random));
    // cut from a larger piece: what is at most 64 bytes itself is in the heap
    for (const made of [zeros, random]) assert.ok(made.buffer.byteLength > 64);
  }
  for (let count = 0; count < 1000; count++) assert.ok(isWiped(secretBytes(48)));
});

test('is read from keys of every kind as their numbers', () => {
  for (const namedCurve of ['prime256v1', 'secp384r1', 'secp521r1']) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve });
    const { d = '' } = privateKey.export({ format: 'jwk' });
    const scalar = withEcScalar(privateKey, (bytes) => Buffer.from(bytes));
    assert.equal(scalar, Buffer.from(d, 'base64url'));
    assert.is(toBigInt(scalar), BigInt(`0x${scalar.toString('hex')}`));
  }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  let kept: Buffer | undefined;
  withRsaParts(privateKey, (parts) => {
    const names = { modulus: 'n', publicExponent: 'e', privateExponent: 'd', prime1: 'p' } as const;
    for (const [name, short] of Object.entries(names)) {
      assert.is(
        parts[name as keyof typeof names].toString('base64url'),
        jwk[short as keyof typeof jwk],
      );
    }
    kept = parts.prime2;
    assert.is(kept.toString('base64url'), jwk.q);
  });
  assert.ok(kept !== undefined && isWiped(kept));
});

test.run();
