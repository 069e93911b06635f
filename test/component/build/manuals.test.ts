import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manuals } from '../../../src/build/manuals/manuals.ts';
import { exitCodes } from '../../../src/cli/command.ts';
import { commonOptions } from '../../../src/cli/help.ts';
import { commands } from '../../../src/cli/iotedgectl.ts';
import { helpText } from '../../../src/service/command-line.ts';
import { outputOf, runCommand } from '../../support/command.ts';

const test = suite('manuals and completions');
const root = join(import.meta.dirname, '../../../..');
const services = ['keys', 'certificates', 'identity', 'modules'];

function example(name: string): string {
  return readFileSync(join(root, 'config-examples', `${name}.yaml`), 'utf8');
}

const examples = Object.fromEntries(services.map((name) => [name, example(name)]));
const all = manuals({ helpText, examples });
const page = (name: string) => all.get(name) ?? '';

/** A page as a reader sees it, on lines that are long enough for everything. */
async function shown(name: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand(
    'groff',
    ['-ww', '-man', '-Tutf8', '-P-cbou', '-rLL=1000n', '-'],
    { input: page(name) },
  );
  assert.equal({ code, stderr }, { code: 0, stderr: '' });
  return stdout.toString().replaceAll('\u2010', '-').replaceAll('\u2212', '-');
}

/** What bash suggests after these words; the last one is not complete. */
async function suggestions(...words: readonly string[]): Promise<readonly string[]> {
  const script = `${page('bash-completion/completions/iotedgectl')}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _iotedgectl; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = await outputOf('bash', ['-c', script, 'bash', 'iotedgectl', ...words]);
  return output.toString().trim().split('\n');
}

test('has a page for everything that units and the command line name', () => {
  const units = readdirSync(join(root, 'systemd-units')).filter((name) =>
    /\.(service|socket|timer)$/.test(name),
  );
  for (const unit of units) {
    const text = readFileSync(join(root, 'systemd-units', unit), 'utf8');
    const [, name, section] = /^Documentation=man:(.+)\((\d)\)$/m.exec(text) ?? [];
    assert.ok(all.has(`man/man${section}/${name}.${section}`), `${unit}: ${name}(${section})`);
  }
});

test('has every verb and option of the command line', async () => {
  const text = await shown('man/man1/iotedgectl.1');
  for (const { words, summary, options = {} } of commands) {
    assert.match(text, `iotedgectl ${words} [OPTIONS]`);
    assert.match(text, summary);
    for (const name of Object.keys(options)) assert.match(text, `--${name}`);
  }
});

test('has the options that every verb takes, once', async () => {
  const text = await shown('man/man1/iotedgectl.1');
  for (const [name, { help }] of Object.entries(commonOptions)) {
    assert.is(text.split(help).length, 2, help);
    assert.match(text, `--${name}`);
  }
});

test('has the exit statuses', async () => {
  const statuses = (text: string) => {
    const [, section = ''] = /^EXIT STATUS\n(.*?)^[A-Z]/ms.exec(text) ?? [];
    return [...section.matchAll(/^ {7}(\d+) /gm)].map(([, status]) => Number(status));
  };
  const { ok, failed, usage, configuration } = exitCodes;
  assert.equal(statuses(await shown('man/man1/iotedgectl.1')), Object.values(exitCodes));
  for (const name of services) {
    const expected = [ok, failed, usage, configuration];
    assert.equal(statuses(await shown(`man/man8/iotedge-${name}.8`)), expected);
  }
});

test('has the options and methods of each service', async () => {
  for (const name of services) {
    const text = await shown(`man/man8/iotedge-${name}.8`);
    for (const wanted of ['--state-dir DIR', 'SIGHUP', `/etc/iotedge/${name}.yaml`, 'Describe'])
      assert.match(text, wanted);
  }
  assert.match(await shown('man/man8/iotedge-keys.8'), /^ +CreateKeyPair$/m);
});

test('shows the examples of all configurations as they are', async () => {
  const text = await shown('man/man5/iotedge.yaml.5');
  const lines = services.flatMap((name) => example(name).split('\n').slice(1));
  const missing = lines.filter((line) => !text.includes(line.replaceAll('`', "'").trimEnd()));
  assert.equal(missing, []);
});

test('completes words, options and nothing else in bash', async () => {
  assert.equal(await suggestions('keys', ''), ['list', 'delete']);
  assert.equal(await suggestions('keys', 'list', '--j'), ['--json']);
  assert.ok((await suggestions('')).includes('status'));
  assert.ok((await suggestions('status', '--')).includes('--start'));
  assert.equal(await suggestions('config', 'c'), ['check']);
});

test('has a completion for zsh that names every verb', async () => {
  const text = page('zsh/site-functions/_iotedgectl');
  assert.match(text, /^#compdef iotedgectl\n/);
  for (const { words } of commands) assert.ok(text.includes(`'${words}'*)`), words);
  const directory = mkdtempSync(join(tmpdir(), 'iotedge-zsh-'));
  try {
    // what both shells share is parsed by bash, where zsh is not installed
    const file = join(directory, 'completion');
    writeFileSync(file, text.replace(/^ {2}typed=.*$/m, ''));
    await outputOf('bash', ['-n', file]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
