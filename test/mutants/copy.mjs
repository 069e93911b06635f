import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { run } from '../../src/build/command.mjs';
import { root } from '../../src/build/setup.mjs';
import { runTestFile } from '../support/test-process.mjs';

/** A mutant that makes its suite hang for longer is not killed: every wait of a test has a deadline. */
const deadlineMs = 300_000;

/** How a suite ended. */
function outcomeOf({ code, output, seconds }) {
  const count = (label) => Number(new RegExp(`^ *${label}: +(\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const total = count('Total');
  const result = () => {
    if (output.includes('killed: not done within')) return 'hung';
    if (total === 0) return 'ran no test';
    // uvu ends with 0 where a test throws undefined
    return code === 0 && count('Passed') === total ? 'green' : 'red';
  };
  return { result: result(), output, seconds };
}

/** Compiles one source by itself: the compiler's check of all types would take most of the time. */
async function compileFile(source) {
  const { code } = await transform(source, {
    loader: 'ts',
    format: 'esm',
    target: 'es2023',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  return code.replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"');
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
      return copy;
    } catch (error) {
      await copy.remove();
      throw error;
    }
  }

  /** Runs a suite on what the copy is. */
  async judge(suite) {
    const file = join(this.#directory, 'dist/test', `${suite}.test.js`);
    return outcomeOf(await runTestFile(file, this.#directory, deadlineMs));
  }

  /** Applies one mutant, runs its suite and takes it back. */
  async judgeMutant({ file, text, becomes, suite }) {
    const source = join(this.#directory, file);
    const compiled = join(this.#directory, 'dist', file.replace(/\.ts$/, '.js'));
    const changed = file.endsWith('.ts') ? [source, compiled] : [source];
    const originals = await Promise.all(changed.map((path) => readFile(path, 'utf8')));
    const mutated = originals[0].replace(text, () => becomes);
    try {
      await writeFile(source, mutated);
      if (file.endsWith('.ts')) await writeFile(compiled, await compileFile(mutated));
      const build = ['src/build/build.mjs', '--compiled'];
      await run(process.execPath, build, { cwd: this.#directory });
      return await this.judge(suite);
    } catch (error) {
      return { result: 'does not build', output: error.output ?? String(error), seconds: 0 };
    } finally {
      await Promise.all(changed.map((path, index) => writeFile(path, originals[index])));
    }
  }

  async remove() {
    await rm(this.#directory, { recursive: true, force: true });
  }
}
