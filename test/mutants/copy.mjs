import { rmSync } from 'node:fs';
import { chmod, cp, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { root } from '../../src/build/setup.mjs';
import { run } from '../../src/build/steps/command.mjs';
import { summaryOf } from '../support/suite-summary.mjs';
import { runTestFile } from '../support/test-process.mjs';

/** A mutant whose suite hangs for longer counts as survived: every wait of a test has a deadline. */
const deadlineMs = 300_000;

function outcomeOf({ code, output, seconds }) {
  const { total, passed } = summaryOf(output);
  const result = () => {
    if (output.includes('killed: not done within')) return 'hung';
    // a process that ends by an uncaught error prints no summary
    if (total === 0) return output.includes('✘') ? 'red' : 'ran no test';
    // uvu exits with 0 where a test throws undefined
    return code === 0 && passed === total ? 'green' : 'red';
  };
  return { result: result(), output, seconds };
}

/** Compiles one source alone: a check of all types would take most of the time. */
async function compileFile(source) {
  const { code } = await transform(source, {
    loader: 'ts',
    format: 'esm',
    target: 'es2023',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  return code.replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"');
}

/** A built copy of the checkout, in which mutants are applied one after another. */
export class Copy {
  #directory;

  constructor(directory) {
    this.#directory = directory;
  }

  /** The copy is removed when this process ends, even by a kill. */
  static async create() {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-mutants-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    await chmod(directory, 0o755); // tests run programs of it as other users
    const isCopied = (path) => path !== join(root, 'node_modules') && path !== join(root, '.git');
    await cp(root, directory, { recursive: true, filter: isCopied });
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    return new Copy(directory);
  }

  /** Runs a suite in the copy. */
  async run(suite) {
    const file = join(this.#directory, 'dist/test', `${suite}.test.js`);
    return outcomeOf(await runTestFile(file, this.#directory, deadlineMs));
  }

  /** Applies one mutant, runs its suite and reverts it. */
  async runMutant({ file, text, becomes, suite }) {
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
      return await this.run(suite);
    } catch (error) {
      return { result: 'does not build', output: error.output ?? String(error), seconds: 0 };
    } finally {
      await Promise.all(changed.map((path, index) => writeFile(path, originals[index])));
    }
  }
}
