import { chmod, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keyPem } from '../../../src/native/provider.ts';
import { type CommandOptions, type Outcome, outputOf, runCommand } from '../command.ts';
import { setpriv } from '../identity/identity.ts';
import { FaultyKeys } from '../keys/faulty-keys.ts';
import { ServedKeys } from '../keys/served-keys.ts';
import type { RigOptions } from '../rig/rig.ts';
import { identityOf, type RigUser } from '../rig/rig-users.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const installedModules = '/usr/lib/iotedge/lib/ossl-modules';

/** How long the instrumented provider waits for the Keys service. */
export const asanDeadlineMs = 20_000;

/** A Keys service on a bus. */
interface KeysOnBus extends AsyncDisposable {
  readonly address: string;
  get(keyId: string): { readonly spki: Buffer };
}

interface OpensslRigOptions {
  /** Whether the module is built with AddressSanitizer and UndefinedBehaviorSanitizer. */
  readonly asan: boolean;
}

/** The `openssl` command with our module, on a private bus with signing keys. */
export class OpensslRig<Keys extends KeysOnBus = ServedKeys> implements AsyncDisposable {
  readonly keys: Keys;
  readonly directory: string;
  /** The environment in which programs with OpenSSL find the module and the bus. */
  readonly environment: Readonly<Record<string, string>>;

  private constructor(parts: Pick<OpensslRig<Keys>, 'keys' | 'directory' | 'environment'>) {
    this.keys = parts.keys;
    this.directory = parts.directory;
    this.environment = parts.environment;
  }

  /** With the real Keys service. */
  static start(options: OpensslRigOptions & RigOptions): Promise<OpensslRig> {
    return OpensslRig.#with(() => ServedKeys.start(options), options);
  }

  /** With a faulty double of the Keys service. */
  static startFaulty(options: OpensslRigOptions): Promise<OpensslRig<FaultyKeys>> {
    return OpensslRig.#with(() => FaultyKeys.start(), options);
  }

  static async #with<Keys extends KeysOnBus>(
    startKeys: () => Promise<Keys>,
    { asan }: OpensslRigOptions,
  ): Promise<OpensslRig<Keys>> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-openssl-'));
    await chmod(directory, 0o755); // other users run it too
    const built = asan ? await buildInstrumented() : join(root, 'dist/lib/ossl-modules');
    const modules = join(directory, 'ossl-modules');
    await cp(built, modules, { recursive: true });
    const example = join(root, 'src/native/provider/openssl.cnf');
    const configuration = join(directory, 'openssl.cnf');
    const text = await readFile(example, 'utf8');
    await writeFile(configuration, text.replace(installedModules, modules));
    const keys = await startKeys();
    const environment = {
      OPENSSL_CONF: configuration,
      DBUS_SYSTEM_BUS_ADDRESS: keys.address,
      ...(asan && (await sanitizerEnvironment(directory))),
    };
    return new OpensslRig({ keys, directory, environment });
  }

  /** Runs `openssl` in the rig's directory; a report of a sanitizer is a failure of the test. */
  openssl(args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
    return this.run('openssl', args, options);
  }

  /** Runs `openssl` as another user. */
  opensslAs(user: RigUser, args: readonly string[]): Promise<Outcome> {
    return this.runAs(user, 'openssl', args);
  }

  /** Runs any program as another user. */
  runAs(user: RigUser, command: string, args: readonly string[]): Promise<Outcome> {
    const [program = '', ...prefix] = setpriv(identityOf(user));
    return this.run(program, [...prefix, command, ...args]);
  }

  /** Runs any program in the rig's environment. */
  async run(
    command: string,
    args: readonly string[],
    options: CommandOptions = {},
  ): Promise<Outcome> {
    const env = { ...this.environment, ...options.env };
    const outcome = await runCommand(command, args, { cwd: this.directory, ...options, env });
    if (/Sanitizer|runtime error:/.test(outcome.stderr) || typeof outcome.code === 'string') {
      throw new Error(`${command} ${args.join(' ')} ended with ${outcome.code}: ${outcome.stderr}`);
    }
    return outcome;
  }

  /** Runs `openssl`; throws when it fails. */
  async succeed(...args: readonly string[]): Promise<Buffer> {
    const { code, stdout, stderr } = await this.openssl(args);
    if (code !== 0) throw new Error(`openssl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Compiles a program of `test/support/native` that uses OpenSSL; returns its path. */
  async compile(name: string): Promise<string> {
    const include = join(process.execPath, '..', '..', 'include', 'node');
    const program = join(this.directory, name);
    const options = `-D_GNU_SOURCE -Wall -Wextra -Werror -O1 -pthread -idirafter ${include} -o ${program}`;
    const source = join(root, 'test/support/native', `${name}.c`);
    await outputOf('cc', [...options.split(' '), source, '-l:libcrypto.so.3']);
    return program;
  }

  /** The path of the PEM file that refers to a key. */
  async keyFile(keyId: string): Promise<string> {
    const file = join(this.directory, `${encodeURIComponent(keyId)}.key`);
    await writeFile(file, keyPem(keyId, this.keys.get(keyId).spki));
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.keys[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Built once for all test processes: the first one builds, the others wait and find it up to date. */
async function buildInstrumented(): Promise<string> {
  const script = join(root, 'src/native/build.mjs');
  const out = join(root, 'dist/instrumented');
  const options = ['--asan', '--deadline-ms', String(asanDeadlineMs), '--only', 'provider', out];
  await outputOf('flock', [join(root, 'dist'), process.execPath, script, ...options], {
    timeoutMs: 120_000,
  });
  return join(out, 'ossl-modules');
}

/** The OpenSSL of Ubuntu 24.04 loses the property query of each public key that it cannot decode. */
const lostByOpenssl = 'leak:CRYPTO_strdup\n';

async function sanitizerEnvironment(directory: string): Promise<Readonly<Record<string, string>>> {
  const file = join(directory, 'leaks');
  await writeFile(file, lostByOpenssl);
  return {
    LD_PRELOAD: await sanitizer(),
    ASAN_OPTIONS: 'detect_leaks=1',
    LSAN_OPTIONS: `suppressions=${file}:print_suppressions=0`,
  };
}

/** The sanitizer's library, preloaded into programs that were not built with it. */
async function sanitizer(): Promise<string> {
  return (await outputOf('cc', ['-print-file-name=libasan.so'])).toString().trim();
}
