import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../../src/ids.ts';
import {
  formatKeyFile,
  type KeyFileHeader,
  parseKeyFile,
} from '../../../../src/keys/file/key-file.ts';
import { DamagedFile, UnusableFile } from '../../../../src/service/state/state-file.ts';

const test = suite('key file');
const path = '/state/keys/id.key';
const id = parseKeyId('id');
const header: KeyFileHeader = {
  id,
  algorithm: 'hmac-sha256',
  usages: ['sign'],
  origin: 'imported',
  exportable: false,
  exportDerived: false,
  created: new Date('2026-01-02T03:04:05.678Z'),
};
const material = randomBytes(32);
const pair = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' });

/** The file of a key with other fields, or other bytes. */
function altered(fields: object, bytes = material, from = formatKeyFile(header, material)): Buffer {
  const line = from.toString('latin1', 0, from.indexOf('\n'));
  const json = { ...(JSON.parse(line) as object), ...fields };
  return Buffer.concat([Buffer.from(`${JSON.stringify(json)}\n`), bytes]);
}

function sumOf(bytes: Buffer): object {
  return { bytes: bytes.length, checksum: createHash('sha256').update(bytes).digest('hex') };
}

/** The failure of reading a file. */
function failure(content: Buffer): Error {
  try {
    parseKeyFile(path, id, content);
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('the file was taken');
}

test('is read as it was written', () => {
  const headers: readonly KeyFileHeader[] = [
    header,
    {
      ...header,
      usages: ['sign', 'derive'],
      exportable: true,
      exportDerived: true,
      origin: 'generated',
    },
  ];
  for (const one of headers) {
    const { info, key } = parseKeyFile(path, id, formatKeyFile(one, material));
    assert.equal(key?.export(), material);
    const { usages, origin, exportable, exportDerived, created } = one;
    const { algorithm } = header;
    const declared = { id, algorithm, usages, origin, exportable, exportDerived, created };
    const ever = { kind: 'symmetric', store: 'file', state: 'ok', spki: undefined };
    assert.equal(info, { ...declared, ...ever });
  }
  const made = formatKeyFile({ ...header, algorithm: 'ec-p384' }, pkcs8);
  const { info } = parseKeyFile(path, id, made);
  assert.equal([info.kind, info.algorithm], ['pair', 'ec-p384']);
  assert.equal(info.spki, pair.publicKey.export({ type: 'spki', format: 'der' }));
});

test('contains the material after one line of JSON without any of it', () => {
  const content = formatKeyFile(header, material);
  assert.equal(content.subarray(content.indexOf('\n') + 1), material);
  const line = content.subarray(0, content.indexOf('\n')).toString();
  for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
    assert.not.ok(line.includes(material.toString(form)), form);
  }
});

test('allows nothing that its header does not list', () => {
  for (const value of [undefined, null, 'true', 1, {}]) {
    const content = altered({ exportable: value, export_derived: value });
    const { info } = parseKeyFile(path, id, content);
    assert.equal([info.exportable, info.exportDerived], [false, false]);
  }
});

test('is damaged where any part of it is invalid', () => {
  const whole = formatKeyFile(header, material);
  const changed = Buffer.from(material);
  changed[0] = (changed[0] ?? 0) ^ 1;
  const short = material.subarray(0, 15);
  const forPair = formatKeyFile({ ...header, algorithm: 'ec-p384' }, pkcs8);
  for (const [what, content, reason] of [
    ['empty', Buffer.alloc(0), 'empty or truncated'],
    ['of one line', whole.subarray(0, whole.indexOf('\n')), 'empty or truncated'],
    ['of no JSON', Buffer.from('{"id":\n'), 'it is not a key file'],
    ['of null', Buffer.from('null\n'), 'version'],
    ['without a version', altered({ version: undefined }), 'version'],
    ['of version 0', altered({ version: 0 }), 'version'],
    ['of version "1"', altered({ version: '1' }), 'version'],
    ['of another key', altered({ id: 'Id' }), 'of another key'],
    ['truncated', whole.subarray(0, -1), 'truncated'],
    ['too long', Buffer.concat([whole, Buffer.of(0)]), 'truncated'],
    ['of other bytes', altered({}, changed), 'its bytes changed'],
    ['without a checksum', altered({ checksum: undefined }), 'its bytes changed'],
    ['of an unknown algorithm', altered({ algorithm: 'aes-128' }), 'its algorithm'],
    ['of too few bytes', altered(sumOf(short), short), 'holds no key of hmac-sha256'],
    [
      'of the bytes of a MAC',
      altered({ algorithm: 'aes-256', ...sumOf(short) }, short),
      'holds no key',
    ],
    [
      'of a key on another curve',
      altered({ algorithm: 'ec-p256' }, pkcs8, forPair),
      'holds no key',
    ],
    ['of no pair', altered({ algorithm: 'ec-p256' }), 'holds no key of ec-p256'],
    ['without usages', altered({ usages: [] }), 'usages'],
    ['with usages that are a text', altered({ usages: 'sign' }), 'usages'],
    ['with a foreign usage', altered({ usages: ['decrypt'] }), 'usage'],
    ['of an unknown origin', altered({ origin: 'preloaded' }), 'origin'],
    ['without a time', altered({ created: undefined }), 'when it was made'],
  ] as const) {
    const error = failure(content);
    assert.instance(error, DamagedFile, what);
    assert.not.instance(error, UnusableFile, what);
    assert.match(error.message, reason, what);
    assert.match(error.message, path);
  }
});

test('of a newer version is not damaged but unusable', () => {
  const error = failure(altered({ version: 2, algorithm: 'quantum' }));
  assert.instance(error, UnusableFile);
});

test('is never quoted in the error of reading it', () => {
  const secret = 'SECRET-SECRET-SECRET';
  for (const content of [Buffer.from(`{${secret}\n`), altered({}, Buffer.from(secret))]) {
    assert.not.match(failure(content).message, secret);
  }
});

test.run();
