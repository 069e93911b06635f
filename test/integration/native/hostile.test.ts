import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { keyPem } from '../../../src/native/provider.ts';
import type { FaultyKeys } from '../../support/keys/faulty-keys.ts';
import { runs } from '../../support/property.ts';
import { OpensslRig } from '../../support/provider/openssl-rig.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

/** Its Keys service is a faulty double, where it is called at all. */
type HostileRig = OpensslRig<FaultyKeys>;

const test = suite<{ rig?: HostileRig }>('OpenSSL module under attack, instrumented');

test.before(async (context) => {
  context.rig = await OpensslRig.startFaulty({ asan: true });
  await context.rig.keys.create('a', 'ec-p256');
  await context.rig.keys.create('r', 'rsa-2048');
  await writeFile(join(context.rig.directory, 'message'), 'a message');
});

test.after(({ rig }) => rig?.[Symbol.asyncDispose]());

test.after.each(({ rig }) => {
  if (rig === undefined) return;
  rig.keys.before = () => Promise.resolve();
  rig.keys.after = (bytes) => bytes;
});

function of({ rig }: { rig?: HostileRig }): HostileRig {
  if (rig === undefined) throw new Error('the rig was not set up');
  return rig;
}

/** DER of any tag and any declared length. */
function tlv(tag: number, content: Uint8Array, length?: readonly number[]): Buffer {
  const size = content.length;
  const shortest = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...(length ?? shortest)]), content]);
}

function pemOf(der: Uint8Array, label = 'IOTEDGE KEY'): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function keyFile(id: string, spki: Uint8Array): Buffer {
  return tlv(0x30, Buffer.concat([tlv(0x0c, Buffer.from(id, 'latin1')), tlv(4, spki)]));
}

/** The exit of `openssl pkey` for each of these files; a crash or a leak fails the test. */
async function readAll(
  rig: HostileRig,
  files: readonly (string | Buffer)[],
): Promise<Set<unknown>> {
  const codes = new Set<unknown>();
  const queue = [...files.entries()];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, contents] = next;
      const file = join(rig.directory, `hostile-${index}.pem`);
      await writeFile(file, contents);
      codes.add((await rig.openssl(['pkey', '-in', file, '-pubout', '-noout'])).code);
    }
  };
  await Promise.all([work(), work(), work()]);
  return codes;
}

test('accepts only the one encoding of a key file', async (context) => {
  const rig = of(context);
  const { spki } = rig.keys.get('a');
  const id = tlv(0x0c, Buffer.from('a'));
  const whole = keyFile('a', spki);
  assert.equal(await readAll(rig, [pemOf(whole)]), new Set([0]));
  const body = Buffer.concat([id, tlv(4, spki)]);
  const bad: readonly Buffer[] = [
    Buffer.alloc(0),
    Buffer.from([0x30]),
    Buffer.from([0x30, 0x80]),
    Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0x30, 0xff]),
    Buffer.concat([whole, Buffer.from([0])]),
    Buffer.concat([whole, whole]),
    tlv(0x30, Buffer.concat([body, Buffer.from([5, 0])])),
    tlv(0x31, body),
    tlv(0x30, body, [0x80]),
    tlv(0x30, body, [0x82, 0, body.length]),
    tlv(0x30, body, [0x83, 0, 0, body.length]),
    tlv(0x30, body, [body.length + 1]),
    tlv(0x30, body, [body.length - 1]),
    tlv(0x30, Buffer.concat([id, tlv(4, spki, [0xff])])),
    tlv(0x30, Buffer.concat([id, tlv(4, spki, [0x84, 0xff, 0xff, 0xff, 0xff])])),
    tlv(0x30, Buffer.concat([tlv(0x0c, Buffer.from('a'), [0x81, 1]), tlv(4, spki)])),
    tlv(0x30, Buffer.concat([tlv(0x13, Buffer.from('a')), tlv(4, spki)])),
    tlv(0x30, Buffer.concat([id, tlv(3, spki)])),
    tlv(0x30, Buffer.concat([tlv(4, spki), id])),
    tlv(0x30, id),
    tlv(0x30, Buffer.alloc(0)),
    ...Array.from(whole.keys(), (length) => whole.subarray(0, length)).filter(
      (_, i) => i % 5 === 0,
    ),
  ];
  assert.equal(
    await readAll(
      rig,
      bad.map((der) => pemOf(der)),
    ),
    new Set([1]),
  );
});

test('accepts only ids that the Keys service accepts', async (context) => {
  const rig = of(context);
  const { spki } = rig.keys.get('a');
  const good = ['a', '$x', 'a/b', 'a.b..c', 'x'.repeat(128), 'a@1', 'a:b-c_d'];
  const bad = [
    '',
    '/a',
    'a/',
    'a//b',
    'a/../b',
    '.',
    '..',
    'a/.',
    '-a',
    ' a',
    'a b',
    'a\n',
    'a\0b',
    '\0',
    'é',
    'a%',
    'x'.repeat(129),
  ];
  assert.equal(
    await readAll(
      rig,
      good.map((id) => pemOf(keyFile(id, spki))),
    ),
    new Set([0]),
  );
  assert.equal(
    await readAll(
      rig,
      bad.map((id) => pemOf(keyFile(id, spki))),
    ),
    new Set([1]),
  );
  for (const id of bad.filter((text) => !text.includes('\0'))) {
    assert.is((await rig.openssl(['pkey', '-in', `iotedge:${id}`, '-pubout'])).code, 1);
  }
  assert.equal(await rig.keys.calls.all(), []);
});

test('accepts only public keys in DER, of supported kinds', async (context) => {
  const rig = of(context);
  const { spki } = rig.keys.get('a');
  const make = async (...options: readonly string[]): Promise<Buffer> => {
    const key = (await rig.openssl(['genpkey', '-outform', 'DER', ...options])).stdout;
    await writeFile(join(rig.directory, 'other.der'), key);
    return rig.succeed('pkey', '-in', 'other.der', '-pubout', '-outform', 'DER');
  };
  const privateKey = await rig.succeed('pkey', '-in', rig.keys.get('a').file, '-outform', 'DER');
  const kinds = [
    ['-algorithm', 'X25519'],
    ['-algorithm', 'ED448'],
    ['-algorithm', 'RSA-PSS'],
  ];
  const others: Buffer[] = [];
  for (const kind of kinds) others.push(await make(...kind));
  const notOnCurve = Buffer.from(spki);
  notOnCurve.fill(0xff, 30);
  const bad = [
    ...others,
    privateKey,
    notOnCurve,
    Buffer.concat([spki, Buffer.from([0])]),
    spki.subarray(0, -1),
    Buffer.alloc(9000, 0x30),
    keyFile('a', spki),
  ];
  assert.equal(
    await readAll(
      rig,
      bad.map((key) => pemOf(keyFile('a', key))),
    ),
    new Set([1]),
  );
});

test('survives any content of a PEM', async (context) => {
  const rig = of(context);
  const whole = keyFile('a', rig.keys.get('a').spki);
  const good = pemOf(whole);
  const bad = [
    good.replace(
      'IOTEDGE KEY-----\n',
      'IOTEDGE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n',
    ),
    good.replace('IOTEDGE KEY-----\n', 'IOTEDGE KEY-----\nX-Header: 1\n\n'),
    good.replace(/.$/m, '!'),
    good.slice(0, -30),
    good.replaceAll('\n', ''),
    pemOf(Buffer.alloc(1 << 20, 0x30)),
    `${good.slice(0, 40)}\0${good.slice(40)}`,
    '-----BEGIN IOTEDGE KEY-----\n-----END IOTEDGE KEY-----\n',
    '-----BEGIN IOTEDGE KEY-----',
  ];
  assert.equal(await readAll(rig, bad), new Set([1]));
  const fine = [`some text\n${good}`, good.replaceAll('\n', '\r\n'), `${good}${good}`];
  assert.equal(await readAll(rig, fine), new Set([0]));
});

const changedKeyFiles = runs(1000);

test('survives key files with modified bytes', async (context) => {
  const rig = of(context);
  const program = await rig.compile('mutate');
  const inputs = [
    pemOf(keyFile('a', rig.keys.get('a').spki)),
    pemOf(keyFile('r', rig.keys.get('r').spki)),
    keyPem('a', rig.keys.get('a').spki, 'of-a-request'),
  ];
  for (const [seed, input] of inputs.entries()) {
    const args = [String(Math.round(changedKeyFiles / inputs.length)), String(seed)];
    const { code, stdout } = await rig.run(program, args, { input, timeoutMs: runs(280_000) });
    assert.is(code, 0);
    const counts = /^([1-9]\d*) taken, ([1-9]\d*) refused\n$/.exec(stdout.toString());
    assert.ok(counts, stdout.toString());
  }
});

test('refuses invalid signatures', async (context) => {
  const rig = of(context);
  // the files contain the public halves: only Sign is called
  const files = { a: await rig.keyFile('a'), r: await rig.keyFile('r') };
  const sign = (key: 'a' | 'r'): Promise<{ code: number | string; stderr: string }> =>
    rig.openssl(['dgst', '-sha256', '-sign', files[key], '-out', 'sig', 'message']);
  for (const [key, length] of [
    ['r', 255],
    ['r', 257],
    ['r', 1],
    ['a', 73],
    ['a', 200],
    ['a', 2048],
    ['a', 2049],
    ['a', 100_000],
    ['a', 0],
  ] as const) {
    rig.keys.after = () => Buffer.alloc(length, 1);
    const { code, stderr } = await sign(key);
    assert.is(code, 1);
    assert.match(stderr, /iotedge-keys.*Sign with|a signature of/);
  }
});

test('accepts signatures of every valid length', async (context) => {
  const rig = of(context);
  for (const [key, length] of [
    ['r', 256],
    ['a', 8],
    ['a', 72],
  ] as const) {
    rig.keys.after = () => Buffer.alloc(length, 1);
    await rig.succeed('dgst', '-sha256', '-sign', await rig.keyFile(key), '-out', 'sig', 'message');
    assert.is((await readFile(join(rig.directory, 'sig'))).length, length);
  }
});

test('refuses an invalid public half', async (context) => {
  const rig = of(context);
  const { spki } = rig.keys.get('a');
  const unusedBits = Buffer.from(spki);
  unusedBits.writeUInt8(1, spki.indexOf(Buffer.from('034200', 'hex')) + 2);
  for (const wrong of [
    Buffer.alloc(0),
    Buffer.alloc(8192, 0x30),
    Buffer.alloc(8193, 0x30),
    spki.subarray(0, -1),
    Buffer.concat([spki, Buffer.of(0)]),
    unusedBits,
  ]) {
    rig.keys.after = () => wrong;
    const { code, stderr } = await rig.openssl(['pkey', '-in', 'iotedge:a', '-pubout']);
    assert.is(code, 1);
    assert.match(stderr, 'iotedge-keys');
  }
});

test('reports the error of the Keys service, in one printable line', async (context) => {
  const rig = of(context);
  rig.keys.before = () =>
    Promise.reject(new ServiceError('Unavailable', 'line\nbreak \u001b[31m é'));
  const hostile = await rig.openssl([
    'dgst',
    '-sha256',
    '-sign',
    await rig.keyFile('a'),
    'message',
  ]);
  assert.match(hostile.stderr, 'org.iotedge.Error.Unavailable: line?break ?[31m ??');
});

for (const [code, reason] of [
  ['LimitsExceeded', 'the key or the Keys service is unavailable'],
  ['Failed', 'the Keys service failed'],
] as const) {
  test(`has a distinct reason for ${code}`, async (context) => {
    const rig = of(context);
    rig.keys.before = () => Promise.reject(new ServiceError(code, 'it is so'));
    const { stdout } = await rig.run(await rig.compile('reason'), ['a']);
    assert.is(stdout.toString().trim(), reason, 'of GetPublicKey');
    // the file contains the public half: here it is Sign that fails
    const sign = ['dgst', '-sha256', '-sign', await rig.keyFile('a'), 'message'];
    assert.match((await rig.openssl(sign)).stderr, `:${reason}:`);
  });
}

test('reports at once a missing service, or a missing bus', async (context) => {
  const rig = of(context);
  await using other = await PrivateBus.start();
  const file = await rig.keyFile('a');
  const sign = ['dgst', '-sha256', '-sign', file, 'message'];
  const alone = await rig.openssl(sign, { env: { DBUS_SYSTEM_BUS_ADDRESS: other.address } });
  assert.match(alone.stderr, 'org.freedesktop.DBus.Error.ServiceUnknown');
  for (const address of ['unix:path=/nonexistent/bus', 'nonsense', 'unix:path=/dev/null']) {
    const { code, stderr } = await rig.openssl(sign, { env: { DBUS_SYSTEM_BUS_ADDRESS: address } });
    assert.is(code, 1);
    assert.match(stderr, 'iotedge-keys');
  }
});

test.run();
