/** Records for a reader that does not read for a while. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../../support/deadline.ts';

const test = suite<{ directory: string }>('a log that is not read');
const folder = join(import.meta.dirname, '../../../../src/service/log');
const total = 3000;

/** Of many lengths, longer than what a pipe accepts as a whole: some are written in part. */
const program = `
import { sinkOf } from ${JSON.stringify(join(folder, 'sink.js'))};
import { standardErrorWriter } from ${JSON.stringify(join(folder, 'standard-error.js'))};
const sink = sinkOf([() => false, standardErrorWriter()]);
const text = 'x'.repeat(4000);
for (let number = 0; number < ${total}; number++) {
  const fields = { number, text, more: text.slice((number * 997) % 4000), end: true };
  sink({ priority: 'info', message: 'record', fields });
}
setTimeout(() => process.stdout.write('written\\n'), 500);
process.stdin.resume().on('end', () => process.exit(0));
`;

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'iotedge-stalled-'));
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

/** A program whose standard error is read only from `read` on. */
function writer(stderr: number | 'pipe') {
  const args = ['--input-type=module', '--eval', program];
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', stderr] });
}

/** Waits until the number of dropped records is read; then every record was read, or is in that number. */
async function assertCounted(read: (onText: (text: string) => void) => void): Promise<void> {
  let text = '';
  read((chunk) => {
    text += chunk;
  });
  const droppedIn = (all: string): number =>
    [...all.matchAll(/^<4>records were dropped count=(\d+)$/gm)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
  const wholeIn = (all: string): number =>
    all.match(/^<6>record number=\d+ text=x{4000} more=x+ end=true$/gm)?.length ?? 0;
  const accountedFor = (): number => wholeIn(text) + droppedIn(text);
  const state = () => `${accountedFor()} records of ${total} to be accounted for`;
  await until(20_000, state, () => accountedFor() === total);
  assert.ok(wholeIn(text) > 0 && droppedIn(text) > 0);
}

// systemd passes a socket, and so does Node for what it calls a pipe
test('does not block on a socket, and counts the records that are lost', async () => {
  const child = writer('pipe');
  try {
    const { stdout, stderr } = child;
    assert.ok(stdout !== null && stderr !== null);
    await deadline(20_000, once(stdout, 'data'), 'all records to be written');
    await assertCounted((onText) => stderr.setEncoding('utf8').on('data', onText));
  } finally {
    child.kill('SIGKILL');
  }
});

test('does not block on a pipe, and counts the records that are lost', async ({ directory }) => {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const end = openSync(path, constants.O_RDWR);
  const reader = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) });
  const child = writer(end);
  closeSync(end);
  try {
    const { stdout } = child;
    assert.ok(stdout !== null);
    await deadline(20_000, once(stdout, 'data'), 'all records to be written');
    await assertCounted((onText) => reader.setEncoding('utf8').on('data', onText));
  } finally {
    child.kill('SIGKILL');
    reader.destroy();
  }
});

test.run();
