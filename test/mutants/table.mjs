import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../../src/build/setup.mjs';

/**
 * One change of behaviour that a suite must notice.
 * @typedef {object} Mutant
 * @property {string} breaks  the broken behaviour, in one line
 * @property {string} text  the replaced text, which occurs once in `src` and `systemd-units`
 * @property {string} becomes  the replacement: valid code, whose types are not checked
 * @property {string} suite  the test file that must fail, below `test`, without `.test.ts`
 */

const tables = join(import.meta.dirname, 'tables');
const folders = ['src', 'systemd-units'];
const units = 'service socket timer conf sysusers tmpfiles';
const endings = `ts mjs sh c h ${units} postinst prerm postrm templates`.split(' ');
const isSource = (name) => endings.some((ending) => name.endsWith(`.${ending}`));

/** Every mutant, with the name of its table. */
export async function readMutants() {
  const names = (existsSync(tables) ? readdirSync(tables, { recursive: true }) : [])
    .filter((name) => name.endsWith('.mjs'))
    .sort();
  const all = [];
  for (const name of names) {
    const { default: mutants } = await import(pathToFileURL(join(tables, name)).href);
    all.push(...mutants.map((mutant) => ({ ...mutant, table: name.slice(0, -'.mjs'.length) })));
  }
  return all;
}

/** The mutants, each with its file below the root, and the problems of those that cannot be applied. */
export function locate(mutants) {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)),
  );
  const texts = files
    .filter(isSource)
    .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));
  const problems = [];
  const located = [];
  const changes = new Set();
  for (const mutant of mutants) {
    const { breaks, text, becomes, suite, table } = mutant;
    const report = (problem) => problems.push(`${table}: "${breaks}" ${problem}`);
    const holders = texts.filter((source) => source.text.includes(text));
    const times = holders.reduce((sum, source) => sum + source.text.split(text).length - 1, 0);
    const change = JSON.stringify([text, becomes]);
    if (times !== 1) report(`replaces a text that occurs ${times} times: ${text}`);
    if (text === becomes) report('changes nothing');
    if (changes.has(change)) report('stands twice in the tables');
    changes.add(change);
    if (!existsSync(join(root, 'test', `${suite}.test.ts`))) report(`names no suite: ${suite}`);
    const [holder] = holders;
    if (holder !== undefined) located.push({ ...mutant, file: holder.file });
  }
  return { located, problems };
}
