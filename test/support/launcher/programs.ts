import { chmod, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const built = join(import.meta.dirname, '../../..');

/** A directory with copies of some built programs, without code caches. */
export class Programs implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async copy(...names: readonly string[]): Promise<Programs> {
    const programs = new Programs(await mkdtemp(join(tmpdir(), 'iotedge-programs-')));
    await chmod(programs.directory, 0o755);
    for (const directory of ['bin', 'lib'])
      await mkdir(join(programs.directory, directory), { mode: 0o755 });
    for (const name of names) {
      await copyFile(join(built, 'bin', `${name}.cjs`), programs.program(name));
      await copyFile(join(built, 'lib', `${name}.cjs`), programs.bundle(name));
    }
    return programs;
  }

  get bundles(): string {
    return join(this.directory, 'lib');
  }

  /** The launcher of a program. */
  program(name: string): string {
    return join(this.directory, 'bin', `${name}.cjs`);
  }

  bundle(name: string): string {
    return join(this.bundles, `${name}.cjs`);
  }

  cache(name: string): string {
    return join(this.bundles, `${name}.cache`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.directory, { recursive: true });
  }
}
