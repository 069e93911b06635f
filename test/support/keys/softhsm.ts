import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandOptions, CommandResult } from '../system/namespace.ts';

/** Runs a command as the owner of the token. */
export type Runner = (
  command: string,
  args: readonly string[],
  options?: CommandOptions,
) => Promise<CommandResult>;

/** The kinds of key pairs in a test token, by their names in pkcs11-tool. */
export type TokenKeyType = 'EC:prime256v1' | 'EC:secp384r1' | 'rsa:2048' | 'rsa:3072';

export const tokenPin = '1234';

const libraries = [
  '/usr/lib/softhsm/libsofthsm2.so',
  `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/softhsm/libsofthsm2.so`,
];

/** The path of the module in Debian and Ubuntu. */
export function softhsmLibrary(): string {
  const found = libraries.find((path) => existsSync(path));
  if (found === undefined) throw new Error('SoftHSM is not installed');
  return found;
}

/** A module that forwards to PKCS11SPY and logs every call to PKCS11SPY_OUTPUT. */
export function pkcs11Spy(): string {
  return `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/pkcs11-spy.so`;
}

/** A SoftHSM token in slot 0, in a private directory. */
export class SoftHsmToken {
  /** The value of SOFTHSM2_CONF for processes that use the token. */
  readonly configuration: string;
  readonly #directory: string;
  readonly #run: Runner;
  readonly #pin: string;

  private constructor(directory: string, run: Runner, pin: string) {
    this.#directory = directory;
    this.configuration = join(directory, 'softhsm2.conf');
    this.#run = run;
    this.#pin = pin;
  }

  /** Creates a token in a directory that the user of `run` can write to. */
  static async create(directory: string, run: Runner, pin = tokenPin): Promise<SoftHsmToken> {
    const token = new SoftHsmToken(directory, run, pin);
    const text = `directories.tokendir = ${directory}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`;
    await writeFile(token.configuration, text);
    const pins = ['--pin', pin, '--so-pin', '4321'];
    await token.#must('softhsm2-util', ['--init-token', '--free', '--label', 'iotedge', ...pins]);
    await token.#moveToSlotZero();
    return token;
  }

  /** SoftHSM derives the slot number from the end of the random serial number: 80000000 is slot 0. */
  async #moveToSlotZero(): Promise<void> {
    const folders = (await readdir(this.#directory, { withFileTypes: true })).filter((entry) =>
      entry.isDirectory(),
    );
    for (const folder of folders) {
      const file = join(this.#directory, folder.name, 'token.object');
      const bytes = await readFile(file);
      const serial = folder.name.replaceAll('-', '').slice(-16);
      const at = bytes.indexOf(serial);
      if (at === -1) throw new Error('the serial number of the token is not where it was');
      bytes.write('80000000', at + serial.length - 8);
      await writeFile(file, bytes);
    }
  }

  /** Generates a key pair in the token that cannot be extracted. */
  async createKeyPair(label: string, type: TokenKeyType = 'EC:prime256v1'): Promise<void> {
    const id = Buffer.from(label).toString('hex');
    const key = ['--key-type', type, '--label', label, '--id', id];
    await this.tool('--keypairgen', ...key, '--usage-sign', '--sensitive');
  }

  async publicKey(label: string): Promise<KeyObject> {
    const listing = await this.tool('--list-objects', '--type', 'pubkey');
    const object = listing.split('Public Key Object').find((text) => text.includes(` ${label}\n`));
    const point = /EC_POINT: +04(?:41|61)04([0-9a-f]+)/.exec(object ?? '')?.[1];
    if (point !== undefined) return ecPublicKey(Buffer.from(point, 'hex'));
    const file = join(this.#directory, `${encodeURIComponent(label)}.der`);
    await this.tool('--read-object', '--type', 'pubkey', '--label', label, '--output-file', file);
    return createPublicKey({ key: await readFile(file), format: 'der', type: 'spki' });
  }

  /** The output of pkcs11-tool, logged in; throws when it fails. */
  async tool(...args: readonly string[]): Promise<string> {
    const token = ['--module', softhsmLibrary(), '--slot', '0', '--login', '--pin', this.#pin];
    return (await this.#must('pkcs11-tool', [...token, ...args])).stdout;
  }

  /** Removes the token, as if it were unplugged. */
  async remove(): Promise<void> {
    await mkdir(this.#away);
    await this.#move(this.#directory, this.#away);
  }

  /** Inserts the token again. */
  async insert(): Promise<void> {
    await this.#move(this.#away, this.#directory);
    await rmdir(this.#away);
  }

  get #away(): string {
    return `${this.#directory}-away`;
  }

  async #move(from: string, to: string): Promise<void> {
    for (const entry of await readdir(from, { withFileTypes: true })) {
      if (entry.isDirectory()) await rename(join(from, entry.name), join(to, entry.name));
    }
  }

  async #must(command: string, args: readonly string[]): Promise<CommandResult> {
    const result = await this.#run(command, args, {
      environment: { SOFTHSM2_CONF: this.configuration },
    });
    if (result.code === 0) return result;
    throw new Error(`${command} ${args[0]} failed\n${result.stdout}${result.stderr}`);
  }
}

/** pkcs11-tool of Debian 12 exports points of P-256 only, so the point is taken from its listing. */
function ecPublicKey(point: Buffer): KeyObject {
  const half = point.length / 2;
  const [x, y] = [point.subarray(0, half), point.subarray(half)].map((part) =>
    part.toString('base64url'),
  );
  if (x === undefined || y === undefined) throw new TypeError('a point has two halves');
  const crv = half === 32 ? 'P-256' : 'P-384';
  return createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' });
}
