/** The parser of key files alone, instrumented, compared with the same rules in TypeScript. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../src/ids.ts';
import { outputOf } from '../../support/command.ts';

const test = suite<{ parse?: (files: readonly Buffer[]) => Promise<readonly string[]> }>(
  'key file, parsed',
);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const spki = Buffer.alloc(91, 7);
let directory = '';

test.before(async (context) => {
  directory = await mkdtemp(join(tmpdir(), 'iotedge-key-file-'));
  const program = join(directory, 'key-file');
  const provider = join(root, 'src/native/provider');
  const include = join(process.execPath, '..', '..', 'include', 'node');
  const options = `-D_GNU_SOURCE -Wall -Werror -g -fsanitize=address,undefined -fno-sanitize-recover=all -I${provider} -idirafter ${include}`;
  const sources = [join(root, 'test/support/native/key-file.c'), join(provider, 'key-file.c')];
  await outputOf('cc', [...options.split(' '), '-o', program, ...sources]);
  context.parse = async (files) => {
    const input = Buffer.concat(files.flatMap((file) => [lengthOf(file), file]));
    const lines = (await outputOf(program, [], { input })).toString('latin1').split('\n');
    assert.is(lines.length, files.length + 1);
    return lines.slice(0, -1);
  };
});

test.after(() => rm(directory, { recursive: true, force: true }));

function lengthOf({ length }: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

function tlv(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const shortest = length < 128 ? [length] : [0x81, length];
  const octets = length < 256 ? shortest : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...octets]), content]);
}

function keyFile(id: string | Buffer, requestId?: string | Buffer, half: Buffer = spki): Buffer {
  const optional = requestId === undefined ? [] : [tlv(0xa0, tlv(0x0c, Buffer.from(requestId)))];
  return tlv(0x30, Buffer.concat([tlv(0x0c, Buffer.from(id)), tlv(4, half), ...optional]));
}

/** The first element of DER in these bytes, and the rest. */
function take(bytes: Buffer, tag: number): { content: Buffer; rest: Buffer } | undefined {
  const [found, first = 0x80] = bytes;
  const more = first < 0x80 ? 0 : first - 0x80;
  if (found !== tag || bytes.length < 2 + more || first === 0x80 || more > 2) return undefined;
  const length = more === 0 ? first : bytes.readUIntBE(2, more);
  const end = 2 + more + length;
  const content = bytes.subarray(2 + more, end);
  if (bytes.length < end || !tlv(tag, content).equals(bytes.subarray(0, end))) return undefined;
  return { content, rest: bytes.subarray(end) };
}

function isKeyId(bytes: Buffer): boolean {
  try {
    parseKeyId(bytes.toString('latin1'));
    return true;
  } catch {
    return false;
  }
}

/** The expected output of the parser. */
function expected(file: Buffer): string {
  const all = take(file, 0x30);
  const id = all?.rest.length === 0 ? take(all.content, 0x0c) : undefined;
  const half = id && take(id.rest, 4);
  if (!id || !half || half.content.length === 0 || !isKeyId(id.content)) return 'refused';
  const head = `${id.content.toString('latin1')} ${half.content.length}`;
  if (half.rest.length === 0) return `${head} -`;
  const tagged = take(half.rest, 0xa0);
  const request = tagged?.rest.length === 0 ? take(tagged.content, 0x0c) : undefined;
  const requestId = request?.content.toString('latin1') ?? '';
  if (request?.rest.length !== 0 || !/^[!-~]{1,64}$/.test(requestId)) return 'refused';
  return `${head} ${requestId}`;
}

/** Every truncation, every octet changed to each relevant value, every octet duplicated or omitted. */
function variations(file: Buffer): readonly Buffer[] {
  const octets = [0, 1, 2, 3, 4, 5, 0x0c, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xa0, 0xff];
  return [...file.keys()].flatMap((at) => {
    const [before, after] = [file.subarray(0, at), file.subarray(at + 1)];
    const one = file.subarray(at, at + 1);
    const near = [...octets, (file[at] ?? 0) + 1, (file[at] ?? 0) - 1].map((octet) =>
      Buffer.concat([before, Buffer.of(octet), after]),
    );
    return [
      before,
      Buffer.concat([before, after]),
      Buffer.concat([before, one, one, after]),
      ...near,
    ];
  });
}

const bases = [
  keyFile('a'),
  keyFile('a', 'r', Buffer.of(7)),
  keyFile('device-id', 'the-request'),
  keyFile('x'.repeat(128), 'r'.repeat(64)),
  keyFile('a', undefined, Buffer.alloc(120, 7)), // 127 in all
  keyFile('a', undefined, Buffer.alloc(121, 7)),
  keyFile('a', 'r', Buffer.alloc(127, 7)),
  keyFile('a', 'r', Buffer.alloc(128, 7)),
  keyFile('a', 'r', Buffer.alloc(255, 7)),
  keyFile('a', 'r', Buffer.alloc(256, 7)),
];

test('is accepted completely, or refused, however it is modified', async ({ parse }) => {
  for (const base of bases) {
    const files = [base, Buffer.concat([base, Buffer.of(0)]), ...variations(base)];
    const lines = await parse?.(files);
    assert.equal(lines, files.map(expected));
    assert.is.not(lines?.[0], 'refused');
  }
});

/** DER with a length in more octets than needed, or in the indefinite form. */
function longer(tag: number, content: Buffer, octets: readonly number[]): Buffer {
  return Buffer.concat([Buffer.of(tag, ...octets), content]);
}

test('has each length in the fewest octets', async ({ parse }) => {
  const [id, half, request] = [Buffer.from('a'), Buffer.alloc(200, 7), Buffer.from('r')];
  const forms = (length: number): readonly (readonly number[])[] => [
    [0x81, length],
    [0x82, 0, length],
    [0x83, 0, 0, length],
    [0x80],
  ];
  const whole = (...parts: readonly Buffer[]): Buffer => tlv(0x30, Buffer.concat(parts));
  const [ids, halves] = [tlv(0x0c, id), tlv(4, half)];
  const requests = tlv(0x0c, request);
  const files = forms(1).flatMap((octets) => [
    whole(longer(0x0c, id, octets), halves),
    whole(ids, longer(4, Buffer.of(7), octets)),
    whole(ids, halves, tlv(0xa0, longer(0x0c, request, octets))),
  ]);
  for (const octets of forms(requests.length)) {
    files.push(whole(ids, halves, longer(0xa0, requests, octets)));
  }
  for (const octets of forms(200).slice(1)) files.push(whole(ids, longer(4, half, octets)));
  const short = Buffer.concat([ids, tlv(4, Buffer.of(7))]);
  for (const octets of forms(short.length)) files.push(longer(0x30, short, octets));
  assert.equal(new Set(await parse?.(files)), new Set(['refused']));
  assert.equal(
    files.map(expected),
    files.map(() => 'refused'),
  );
});

test('has only ids that the Keys service accepts', async ({ parse }) => {
  const octets = Array.from({ length: 256 }, (_, octet) => Buffer.of(octet));
  const around = (text: string): readonly Buffer[] =>
    octets.map((octet) => Buffer.concat([Buffer.from('a'), octet, Buffer.from(text)]));
  const texts = ['', '.', '..', '...', 'a/.', 'a/..', 'a/...', 'a/./b', 'a/../b', 'a/.b', 'a//b'];
  const lengths = [1, 127, 128, 129, 130].map((length) => Buffer.alloc(length, 'x'));
  const ids = [
    ...octets,
    ...around(''),
    ...around('b'),
    ...texts.map((text) => Buffer.from(text)),
    ...lengths,
  ];
  const files = ids.map((id) => keyFile(id));
  assert.equal(await parse?.(files), files.map(expected));
});

test('has only request ids that the Keys service accepts', async ({ parse }) => {
  const octets = Array.from({ length: 256 }, (_, octet) => Buffer.of(octet));
  const lengths = [0, 1, 63, 64, 65, 66].map((length) => Buffer.alloc(length, 'x'));
  const ends = octets.map((octet) => Buffer.concat([Buffer.from('r'), octet]));
  const files = [...octets, ...lengths, ...ends].map((id) => keyFile('a', id));
  assert.equal(await parse?.(files), files.map(expected));
});

test.run();
