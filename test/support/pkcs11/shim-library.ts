import { existsSync, statSync } from 'node:fs';
import { chown, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outputOf } from '../command.ts';
import { softhsmLibrary } from '../keys/softhsm.ts';

/** The copies of the shim; each is a library of its own, before a copy of SoftHSM of its own. */
export type ShimName = 'first' | 'second';

const names: readonly ShimName[] = ['first', 'second'];
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const source = join(root, 'test/support/native/pkcs11-shim.c');
/** Below the checkout, which a rig mounts where its users can read and execute it. */
const output = 'dist/test-shim';

/**
 * A PKCS#11 library in front of SoftHSM that misbehaves on command, also while a process uses it:
 * test/support/native/pkcs11-shim.c lists the commands. Its processes have PKCS11_SHIM in their environment, the
 * directory of all shims.
 */
export class ShimLibrary {
  /** The path of the library in the checkout. */
  readonly file: string;
  readonly #directory: string;
  readonly #checkout: string;
  readonly #commands = new Map<string, string>();

  private constructor(directory: string, name: ShimName, checkout: string) {
    this.#directory = join(directory, name);
    this.#checkout = checkout;
    this.file = shimFile(name);
  }

  /**
   * Prepares a library in the directory of all shims, for processes of a user that have the checkout mounted at
   * another path. `configuration` is the SOFTHSM2_CONF of its tokens.
   */
  static async create(
    directory: string,
    name: ShimName,
    { configuration, checkout = root, uid = 0 }: ShimOptions,
  ): Promise<ShimLibrary> {
    await buildShims();
    const library = new ShimLibrary(directory, name, checkout);
    await mkdir(library.#directory);
    await chown(library.#directory, uid, uid);
    await writeFile(join(library.#directory, 'target'), join(checkout, targetFile(name)));
    await writeFile(join(library.#directory, 'softhsm'), configuration);
    return library;
  }

  /** The path of the library for its processes. */
  get path(): string {
    return join(this.#checkout, this.file);
  }

  /** Obeys a command at each call of a function from now on: `sleep 3000`, `hang`, `abort times 1`. */
  async misbehave(name: string, what: string): Promise<void> {
    this.#commands.set(name, what);
    await this.#write();
  }

  /** Behaves again in all functions; a call that hangs still does. */
  async behave(): Promise<void> {
    this.#commands.clear();
    await this.#write();
  }

  /** The number of calls of a function by all processes so far, begun or returned. */
  calls(name: string): Promise<number> {
    return this.#count('calls', name);
  }

  /** The number of these that returned. */
  returned(name: string): Promise<number> {
    return this.#count('returned', name);
  }

  async #count(record: 'calls' | 'returned', name: string): Promise<number> {
    const file = join(this.#directory, record);
    const text = existsSync(file) ? await readFile(file, 'utf8') : '';
    return text.split('\n').filter((line) => line === name).length;
  }

  async #write(): Promise<void> {
    for (const name of await readdir(this.#directory))
      if (name.startsWith('used-')) await rm(join(this.#directory, name));
    const lines = Array.from(this.#commands, ([name, what]) => `${name} ${what}\n`);
    const next = join(this.#directory, 'control.new');
    await writeFile(next, lines.join(''));
    await rename(next, join(this.#directory, 'control'));
  }
}

export interface ShimOptions {
  readonly configuration: string;
  /** Where the processes have the checkout. */
  readonly checkout?: string;
  readonly uid?: number;
}

const shimFile = (name: ShimName): string => join(output, `${name}.so`);
const targetFile = (name: ShimName): string => join(output, `softhsm-${name}.so`);

/** Builds the libraries when their source has changed. */
async function buildShims(): Promise<void> {
  const products = names.flatMap((name) => [shimFile(name), targetFile(name)]);
  if (products.every((file) => isNewer(join(root, file)))) return;
  await mkdir(join(root, output), { recursive: true });
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-cast-function-type'];
  const library = ['-D_GNU_SOURCE', '-fPIC', '-shared', '-fvisibility=hidden'];
  const includes = `-I${join(root, 'node_modules/pkcs11js/includes/pkcs11')}`;
  const built = join(root, output, `${process.pid}.so`);
  await outputOf('cc', [...library, ...warnings, includes, '-o', built, source, '-ldl']);
  for (const name of names) {
    await place(built, shimFile(name));
    await place(softhsmLibrary(), targetFile(name));
  }
  await rm(built);
}

/** Replaces a file by a rename, as other tests may have it mapped. */
async function place(from: string, to: string): Promise<void> {
  const next = join(root, `${to}.${process.pid}`);
  await copyFile(from, next);
  await rename(next, join(root, to));
}

function isNewer(file: string): boolean {
  return existsSync(file) && statSync(file).mtimeMs > statSync(source).mtimeMs;
}
