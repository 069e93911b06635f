/** The commands of iotedgectl that documents show exist, with their options. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commands } from '../../../src/cli/iotedgectl.ts';

const test = suite('commands of iotedgectl in documents');
const root = join(import.meta.dirname, '../../../..');
const documents = readdirSync(join(root, 'docs'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`)
  .concat('README.md', 'SECURITY.md');

/** The command lines of a document, those in a sentence too. */
function linesIn(text: string): readonly string[] {
  const joined = text.replaceAll(/\\\n\s*/g, '');
  const shown = [...joined.matchAll(/^(?: {4}|\$ )?(?:\$\()?(iotedgectl .*?)\)?(?: {3,}.*)?$/gm)];
  const inline = [...joined.matchAll(/`(iotedgectl [^`]*)`/g)];
  return [...shown, ...inline].map(([, line = '']) => line);
}

/** What is wrong with a command line, `` for nothing. */
function problemOf(line: string): string {
  const words = line.split(/\s+/).slice(1);
  const command = commands.find(({ words: own }) =>
    own.split(' ').every((word, at) => words[at] === word),
  );
  // such as `iotedgectl modules`, the group
  const isGroup = commands.some(({ words: own }) => own.startsWith(`${words.join(' ')} `));
  if (command === undefined) {
    const isPlaceholder = words.includes('COMMAND');
    return isGroup || isPlaceholder ? '' : `no command: ${line}`;
  }
  const known = Object.entries({ ...command.options, json: {}, help: {} }).flatMap(
    ([name, option]) => ['short' in option ? `-${String(option.short)}` : '', `--${name}`],
  );
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const unknown = own.filter((word) => word.startsWith('-') && !known.includes(word));
  return unknown.length === 0 ? '' : `no option ${unknown.join(', ')}: ${line}`;
}

test('are found', () => {
  const text =
    'x\n    iotedgectl modules list      what\nsee `iotedgectl burn`.\n$(iotedgectl status)\n';
  assert.equal(linesIn(text), ['iotedgectl modules list', 'iotedgectl status', 'iotedgectl burn']);
  assert.is(problemOf('iotedgectl modules list --json'), '');
  assert.match(problemOf('iotedgectl modules list --wrong'), '--wrong');
  assert.match(problemOf('iotedgectl burn'), 'burn');
});

test('exist, with their options', () => {
  const lines = documents.flatMap((name) => linesIn(readFileSync(join(root, name), 'utf8')));
  assert.ok(lines.length > 20);
  assert.equal(lines.map(problemOf).filter(Boolean), []);
});

test.run();
