/**
 * Searches for keys where they must not be: for anything with the structure of a private key, and for the secrets of
 * known keys, in every form in which a program may have written them.
 */
import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { systemCode } from '../../../src/errors.ts';

/** The secret of a key: the private number of a pair, or all of a symmetric key. */
export interface Secret {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The files below a directory to search. */
export interface SearchOptions {
  readonly secrets?: readonly Secret[];
  /** Only files of these users. */
  readonly owners?: ReadonlySet<number>;
  /** Names of directories to skip. */
  readonly except?: readonly string[];
}

const runCommand = promisify(execFile);
const pem = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
const jwk = /"(?:d|k)"\s*:\s*"[A-Za-z0-9_-]{22,}"/;
/** The first line of a key file of the service. */
const keyFile = /"algorithm":"[a-z0-9-]+"[^\n]*"checksum":"[0-9a-f]{64}"\}\n/;
/** The INTEGER with the version of PKCS#8, SEC 1 or PKCS#1. */
const versions = [Buffer.of(2, 1, 0), Buffer.of(2, 1, 1)];
const breaks = /\s|\\[nrt]/g;

/** The forms of the keys in these bytes. */
export function keysIn(bytes: Buffer, secrets: readonly Secret[] = []): readonly string[] {
  const text = bytes.toString('latin1');
  const compact = text.replace(breaks, '');
  const found = new Set<string>();
  if (pem.test(text)) found.add('PEM');
  if (jwk.test(text.replaceAll('\\', ''))) found.add('JWK');
  if (keyFile.test(text)) found.add('key file');
  if (hasDer(bytes)) found.add('DER');
  for (const [form, decoded] of decodings(compact))
    if (hasDer(decoded)) found.add(`DER in ${form}`);
  const haystacks = [text, compact, compact.replaceAll(/[:,]|0x|\\x|%|-/g, '').toLowerCase()];
  for (const secret of secrets) {
    for (const [form, needle] of formsOf(secret.bytes)) {
      if (haystacks.some((one) => one.includes(needle))) found.add(`${secret.name} in ${form}`);
    }
  }
  return [...found];
}

/** Every file below a directory that contains a key, with its forms: `/path: form, form`. */
export async function keysBelow(
  directory: string,
  { secrets = [], owners, except = [] }: SearchOptions = {},
): Promise<readonly string[]> {
  const skipped = except.flatMap((name) => ['-name', name, '-prune', '-o']);
  const users = [...(owners ?? [])].flatMap((uid, at) => [
    ...(at > 0 ? ['-o'] : []),
    '-uid',
    `${uid}`,
  ]);
  const byOwner = users.length > 0 ? ['(', ...users, ')'] : [];
  const args = [directory, '-xdev', ...skipped, '-type', 'f', ...byOwner, '-print0'];
  // find fails when a file disappears meanwhile
  const { stdout } = await runCommand('find', args, { timeout: 60_000 }).catch(outputOf);
  const found: string[] = [];
  for (const path of stdout.split('\0').filter((one) => one !== '')) {
    const forms = await keysInFile(path, secrets);
    if (forms.length > 0) found.push(`${path}: ${forms.join(', ')}`);
  }
  return found.toSorted();
}

/** The forms of the keys in the arguments and the environment of a process. */
export async function keysOfProcess(
  pid: number,
  secrets: readonly Secret[],
): Promise<readonly string[]> {
  const files = ['cmdline', 'environ'].map((name) => `/proc/${pid}/${name}`);
  const contents = await Promise.all(files.map((file) => readFile(file)));
  return contents.flatMap((bytes, at) => {
    const forms = keysIn(bytes, secrets);
    return forms.length === 0 ? [] : [`${files[at]}: ${forms.join(', ')}`];
  });
}

/** The forms of the keys in a file, none when it has disappeared meanwhile. */
async function keysInFile(path: string, secrets: readonly Secret[]): Promise<readonly string[]> {
  try {
    return keysIn(await readFile(path), secrets);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function outputOf(error: unknown): { readonly stdout: string } {
  if (error instanceof Error && 'code' in error && error.code === 1 && 'stdout' in error) {
    return { stdout: String(error.stdout) };
  }
  throw error;
}

/** Whether the bytes contain a SEQUENCE that begins with a version and is a private key. */
function hasDer(bytes: Buffer): boolean {
  return versions.some((version) => {
    for (let at = bytes.indexOf(version); at >= 0; at = bytes.indexOf(version, at + 1)) {
      const starts = [at - 2, at - 3, at - 4].filter((start) => bytes[start] === 0x30);
      if (starts.some((start) => isPrivateKey(elementAt(bytes, start)))) return true;
    }
    return false;
  });
}

/** The element at an offset, without the following bytes. */
function elementAt(bytes: Buffer, at: number): Buffer {
  const first = bytes[at + 1] ?? 0;
  const count = first < 0x80 ? 0 : Math.min(first & 0x7f, 2);
  const length = count === 0 ? first : bytes.readUIntBE(at + 2, count);
  return bytes.subarray(at, at + 2 + count + length);
}

function isPrivateKey(der: Buffer): boolean {
  // OpenSSL 3.0 does not read version 2 of PKCS#8: an AlgorithmIdentifier before an OCTET STRING is sufficient
  const at = der.indexOf(Buffer.from('0201', 'hex')) + 3;
  if (der[at] === 0x30 && der[at + 2 + (der[at + 1] ?? 0)] === 0x04) return true;
  return (['pkcs8', 'sec1', 'pkcs1'] as const).some((type) => {
    try {
      createPrivateKey({ key: der, format: 'der', type });
      return true;
    } catch {
      return false;
    }
  });
}

/** The decodings of a text without white space, from every position at which base64, hex or a list of bytes begins. */
function* decodings(text: string): Generator<readonly [form: string, decoded: Buffer]> {
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{40,}/g)) {
    for (let shift = 0; shift < 4; shift++)
      yield ['base64', Buffer.from(run.slice(shift), 'base64')];
  }
  for (const [run] of text.matchAll(/(?:[0-9A-Fa-f]{2}:?){20,}/g)) {
    const digits = run.replaceAll(':', '');
    for (const shift of [0, 1]) yield ['hex', Buffer.from(digits.slice(shift), 'hex')];
  }
  for (const [run] of text.matchAll(/\d{1,3}(?:,\d{1,3}){20,}/g)) {
    yield ['JSON bytes', Buffer.from(run.split(',').map(Number))];
  }
}

/** A secret as raw bytes, and in every textual form. */
function* formsOf(bytes: Buffer): Generator<readonly [form: string, needle: string]> {
  yield ['raw bytes', bytes.toString('latin1')];
  yield ['UTF-8', Buffer.from(bytes.toString('latin1'), 'utf8').toString('latin1')];
  yield ['hex', bytes.toString('hex')];
  yield ['JSON bytes', [...bytes].join(',')];
  for (let shift = 0; shift < 3; shift++) {
    // only the characters that do not depend on neighbouring bytes
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]);
    const inner = padded.toString('base64').slice(shift === 0 ? 0 : shift + 1);
    const base64 = inner.replace(/.?=+$/, '').slice(0, Math.floor((bytes.length * 4) / 3) - 2);
    yield ['base64', base64];
    yield ['base64url', base64.replaceAll('+', '-').replaceAll('/', '_')];
  }
}
