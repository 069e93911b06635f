import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/build/command.mjs';
import { root } from '../../src/build/setup.mjs';
import { runTestFile } from '../support/test-process.mjs';

/** A mutant that hangs its suite for longer is not killed: every wait of a test has a deadline. */
const deadlineMs = 300_000;

/** How a suite ended. */
function outcomeOf({ code, output, seconds }) {
  const ran = /^ *Total: +(\d+)/m.exec(output);
  if (output.includes('killed: not done within')) return { result: 'hung', output, seconds };
  if (ran === null || Number(ran[1]) === 0) return { result: 'ran no test', output, seconds };
  return { result: code === 0 ? 'green' : 'red', output, seconds };
}

/** A built copy of the checkout, in which mutants are applied one after the other. */
export class Copy {
  #directory;

  constructor(directory) {
    this.#directory = directory;
  }

  static async create() {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-mutants-'));
    const copy = new Copy(directory);
    try {
      await run('chmod', ['755', directory]); // tests run programs of it as other users
      const list = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
      const { stdout } = await run('git', list, { cwd: root });
      for (const name of stdout.split('\0').filter((one) => one !== '')) {
        await cp(join(root, name), join(directory, name), { recursive: true }).catch((error) => {
          if (error.code !== 'ENOENT') throw error; // removed, and not committed yet
        });
      }
      await cp(join(root, 'dist'), join(directory, 'dist'), { recursive: true });
      await run('ln', ['-s', join(root, 'node_modules'), join(directory, 'node_modules')]);
      await copy.#allowUnused();
      await copy.#build();
      return copy;
    } catch (error) {
      await copy.remove();
      throw error;
    }
  }

  /** Runs a suite on the unchanged product. */
  async judge(suite) {
    const file = join(this.#directory, 'dist/test', `${suite}.test.js`);
    return outcomeOf(await runTestFile(file, this.#directory, deadlineMs));
  }

  /** Applies one mutant, runs its suite and takes it back. */
  async judgeMutant({ file, text, becomes, suite }) {
    const path = join(this.#directory, file);
    const original = await readFile(path, 'utf8');
    await writeFile(
      path,
      original.replace(text, () => becomes),
    );
    try {
      await this.#build();
      return await this.judge(suite);
    } catch (error) {
      return { result: 'does not build', output: error.output ?? String(error), seconds: 0 };
    } finally {
      await writeFile(path, original);
    }
  }

  async remove() {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** What a mutant no longer uses is no reason not to compile it. */
  async #allowUnused() {
    const path = join(this.#directory, 'tsconfig.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(/("noUnused\w+"): true/g, '$1: false'));
  }

  #build() {
    return run(process.execPath, ['src/build/build.mjs'], { cwd: this.#directory });
  }
}
