import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where Debian and Ubuntu install SoftHSM. */
export const softhsmPath = '/usr/lib/softhsm/libsofthsm2.so';
export const userPin = '1234';

/**
 * A SoftHSM token in slot 0, in a private directory. The library reads its configuration from the environment
 * when it is initialized, so a process uses one of these at a time.
 */
export class SoftToken implements AsyncDisposable {
  readonly directory: string;
  #environment: NodeJS.ProcessEnv = process.env;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(label = 'edge'): Promise<SoftToken> {
    const token = new SoftToken(await mkdtemp(join(tmpdir(), 'iotedge-token-')));
    await mkdir(token.#tokens);
    const settings = [
      `directories.tokendir = ${token.#tokens}`,
      'objectstore.backend = file',
      'log.level = ERROR',
    ];
    const file = join(token.directory, 'softhsm2.conf');
    await writeFile(file, `${settings.join('\n')}\n`);
    process.env['SOFTHSM2_CONF'] = file;
    token.#environment = { ...process.env };
    const pins = ['--pin', userPin, '--so-pin', '5678'];
    await token.#run('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins]);
    await token.#moveToSlotZero();
    return token;
  }

  /** Runs pkcs11-tool with this token, in another process. */
  async tool(...args: readonly string[]): Promise<string> {
    const slot = ['--module', softhsmPath, '--slot', '0'];
    return this.#run('pkcs11-tool', [...slot, ...args]);
  }

  /** As `tool`, logged in. */
  async login(...args: readonly string[]): Promise<string> {
    return this.tool('--login', '--pin', userPin, ...args);
  }

  /** Removes the token, as if it were unplugged. */
  async remove(): Promise<void> {
    await rename(this.#tokens, this.#away);
    await mkdir(this.#tokens);
  }

  /** Inserts the token again. */
  async insert(): Promise<void> {
    await rm(this.#tokens, { recursive: true, force: true });
    await rename(this.#away, this.#tokens);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  get #tokens(): string {
    return join(this.directory, 'tokens');
  }

  get #away(): string {
    return join(this.directory, 'away');
  }

  /** SoftHSM derives the number of a slot from the last 31 bits of the serial number of its token. */
  async #moveToSlotZero(): Promise<void> {
    const [name = ''] = await readdir(this.#tokens);
    const path = join(this.#tokens, name, 'token.object');
    const object = await readFile(path);
    const serial = name.replaceAll('-', '').slice(-16);
    const at = object.indexOf(serial, 0, 'latin1');
    if (at < 0) throw new Error('the token has no serial number where it was expected');
    object.write(`${serial.slice(0, 8)}80000000`, at, 'latin1');
    await writeFile(path, object);
  }

  async #run(command: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(command, args, { env: this.#environment, timeout: 20_000 });
    return stdout;
  }
}
