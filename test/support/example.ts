import { randomBytes, verify } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Client, client } from '../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import { outputOf } from './command.ts';
import { runnable } from './not-runnable.ts';
import { Rig } from './rig/rig.ts';
import type { RigUser } from './rig/rig-users.ts';
import type { CommandResult } from './system/namespace.ts';

const checkout = join(import.meta.dirname, '../../..');
/** The installed XML files, from which code generators create proxies. */
export const interfaceFiles = join(checkout, 'dbus-policy/interfaces');
const documented = 'my-key ecdsa-sha256 < message > signature';

/** A program of `docs/examples`. */
export interface ExampleOptions {
  readonly file: string;
  /** The prefix of the header line that replaces the one above it, such as `Qt 6`. */
  readonly variant?: string;
  readonly needs?: Parameters<typeof runnable>[0];
}

/** An example, built by the commands in its header. */
class Example implements AsyncDisposable {
  readonly #folder: string;
  readonly #usage: string;

  private constructor(folder: string, usage: string) {
    this.#folder = folder;
    this.#usage = usage;
  }

  static async build({ file, variant }: ExampleOptions): Promise<Example> {
    const folder = await mkdtemp(join(tmpdir(), 'iotedge-example-'));
    try {
      await chmod(folder, 0o755);
      const source = join(checkout, 'docs/examples', file);
      const { build, usage } = commandsOf(await readFile(source, 'utf8'), variant);
      await copyFile(source, join(folder, file));
      await outputOf('sh', ['-euc', build], { cwd: folder, env: debianPath, timeoutMs: 300_000 });
      return new Example(folder, usage);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Signs a message by the command in the header; its output is base64. */
  sign(rig: Rig, { key, mechanism, message, user = 'operator' }: Signing): Promise<CommandResult> {
    const command = this.#usage.replace(documented, `${key} ${mechanism} | base64 --wrap=0`);
    const script = `set -euo pipefail; cd ${this.#folder}; ${command}`;
    return rig.run('bash', ['-c', script], { user, input: message, environment: debianPath });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface Signing {
  readonly key: string;
  readonly mechanism: string;
  readonly message: Buffer;
  readonly user?: RigUser;
}

/** Debian's own programs: other Python installations of a machine lack its packages. */
const debianPath = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

/** The commands in the leading comment of a program: the build, then the usage. */
function commandsOf(
  text: string,
  variant: string | undefined,
): { readonly build: string; readonly usage: string } {
  const header = /^(?:\/\*|#)[\s\S]*?(?=^(?: \*\/|[^ #\n]))/m.exec(text)?.[0] ?? '';
  const lines = header.split('\n').map((line) => line.replace(/^ ?[*#]/, ''));
  const blocks = lines.join('\n').split(/\n\n/);
  const commands = blocks.map((block) => block.split('\n').filter((line) => /^ {3}/.test(line)));
  const [usage = [], build = []] = commands.filter((block) => block.length > 0).toReversed();
  const script = withVariant(build, variant)
    .join('\n')
    .replaceAll('/usr/share/dbus-1/interfaces', interfaceFiles);
  const [call = ''] = usage;
  assert.match(call, documented);
  return { build: script, usage: call.trim() };
}

/** Replaces a command by that of the following line `# <variant>: <command>`. */
function withVariant(lines: readonly string[], variant: string | undefined): readonly string[] {
  if (variant === undefined) return lines;
  const mark = `   # ${variant}: `;
  const at = lines.findIndex((line) => line.startsWith(mark));
  assert.ok(at > 0, `no line begins with ${mark}`);
  return lines.with(at - 1, lines[at]?.slice(mark.length) ?? '');
}

/** A message with NULs whose RSA signature has one too: a program that treats bytes as text loses the rest. */
async function messageWithNuls(keys: Client<typeof keysInterface>, key_id: string) {
  for (;;) {
    const message = Buffer.concat([Buffer.from('a\0b'), randomBytes(32), Buffer.alloc(1)]);
    const { signature } = await keys.Sign({ key_id, mechanism: 'rsa-pkcs1-sha256', data: message });
    if (signature.subarray(0, 128).includes(0)) return { message, signature };
  }
}

/** Programs with other D-Bus libraries, built as their users would, create keys and sign with them. */
export function exampleContract(name: string, examples: readonly ExampleOptions[]): void {
  const test = suite(`examples: ${name}`);
  let rig: Rig;
  test.before(async () => {
    rig = await Rig.start();
  });
  test.after(() => rig[Symbol.asyncDispose]());

  for (const [index, options] of examples.entries()) {
    const define = options.needs === undefined ? test : runnable(options.needs, test);
    const title = [options.file, options.variant].filter(Boolean).join(', ');
    define(`${title}: creates a key, signs, and reads every byte of a signature`, async () => {
      await using example = await Example.build(options);
      await using bus = await rig.connect();
      const keys = client(bus, keysService, keysInterface);
      await makesKeyAndSigns({ example, rig, keys, key: `made-${index}` });
      await readsEveryByte({ example, rig, keys, key: `rsa-${index}` });
      await reportsRefusal(example, rig);
    });
  }
  test.run();
}

interface Trial {
  readonly example: Example;
  readonly rig: Rig;
  readonly keys: Client<typeof keysInterface>;
  readonly key: string;
}

async function makesKeyAndSigns({ example, rig, keys, key }: Trial): Promise<void> {
  const message = Buffer.from('a message\0with a NUL');
  const { code, stdout, stderr } = await example.sign(rig, {
    key,
    mechanism: 'ecdsa-sha256',
    message,
  });
  assert.is(code, 0, stderr);
  const { spki } = await keys.GetPublicKey({ key_id: key });
  const publicKey = { key: spki, format: 'der', type: 'spki' } as const;
  assert.ok(verify('sha256', message, publicKey, Buffer.from(stdout, 'base64')));
}

async function readsEveryByte({ example, rig, keys, key }: Trial): Promise<void> {
  await keys.CreateKeyPair({ key_id: key, algorithms: ['rsa-2048'], usages: [] });
  const { message, signature } = await messageWithNuls(keys, key);
  const mechanism = 'rsa-pkcs1-sha256';
  const { stdout, stderr } = await example.sign(rig, { key, mechanism, message });
  assert.is(stdout, signature.toString('base64'), stderr);
}

async function reportsRefusal(example: Example, rig: Rig): Promise<void> {
  const refused = { key: 'refused', mechanism: 'ecdsa-sha256', message: Buffer.alloc(0) };
  const { code, stderr } = await example.sign(rig, { ...refused, user: 'alice' });
  assert.is.not(code, 0);
  assert.ok(stderr.includes('org.freedesktop.DBus.Error.AccessDenied'), stderr);
}
