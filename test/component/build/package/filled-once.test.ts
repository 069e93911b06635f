import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../../../support/command.ts';
import { messageOf } from '../../../support/failure.ts';

const test = suite('folder filled once');
const script = join(import.meta.dirname, '../../../../../src/build/package/filled-once.mjs');

/** Runs a program that fills a folder in another process. */
async function fill(folder: string, body: string): Promise<void> {
  const program = `
import { writeFileSync } from 'node:fs';
import { filledOnce } from ${JSON.stringify(script)};
await filledOnce(${JSON.stringify(folder)}, async (beside) => { ${body} });`;
  await outputOf(process.execPath, ['--input-type=module', '--eval', program]);
}

const write = (text: string) => `writeFileSync(\`\${beside}/file\`, '${text}');`;

test('is filled again when that was interrupted, and then never', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'iotedge-filled-'));
  const folder = join(directory, 'above', 'folder');
  const text = () => readFileSync(join(folder, 'file'), 'utf8');
  try {
    await fill(folder, `${write('half')} process.exit(0);`);
    assert.not.ok(existsSync(folder));
    const failed = fill(folder, `${write('half')} throw new Error('no space');`);
    assert.match(await messageOf(failed), 'no space');
    assert.not.ok(existsSync(folder));
    await fill(folder, write('whole'));
    assert.is(text(), 'whole');
    await fill(folder, write('other'));
    assert.is(text(), 'whole');
    const left = readdirSync(join(directory, 'above')).length;
    assert.is(left, 2, 'one is left of the process that ended');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('is filled by one of two processes at once', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'iotedge-filled-'));
  const folder = join(directory, 'folder');
  try {
    // the other one is done meanwhile
    const other = `const { cpSync } = await import('node:fs'); ${write('whole')} cpSync(beside, ${JSON.stringify(folder)}, { recursive: true });`;
    await fill(folder, other);
    assert.equal(readdirSync(directory), ['folder']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
