/** Fills a small disk, and accesses a state disk as its arguments specify: `FILE`, which is replaced with the reserve. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StateDisk } from '../../../src/service/state/state-disk.ts';
import { writeStateFile } from '../../../src/service/state/state-file.ts';

const [path = ''] = process.argv.slice(2);
const directory = dirname(path);
const filler = join(directory, 'filler');
const print = (what: string, value: unknown): void => console.log(`${what}: ${String(value)}`);

function failureOf(action: Promise<unknown>): Promise<string> {
  return action.then(
    () => 'none',
    (error: unknown) => (error instanceof Error ? error.message : 'unknown'),
  );
}

/** Writes until the disk is full. */
async function fill(): Promise<void> {
  for (const bytes of [64 << 10, 4096, 1]) {
    for (;;) {
      const failed = await writeFile(filler, Buffer.alloc(bytes), { flag: 'a' }).then(
        () => false,
        () => true,
      );
      if (failed) break;
    }
  }
}

await writeStateFile(path, 'old');
using disk = await StateDisk.open(directory, { reserve: [8 << 10, 8 << 10, 32 << 10] });
disk.onProblem((problem) => print('problem', problem === '' ? 'none' : problem));
await fill();
print('ordinary', await failureOf(writeStateFile(path, 'x'.repeat(6000))));
for (let count = 1; count <= 6; count++) {
  const content = `${count}`.repeat(6000);
  print(`in need ${count}`, await failureOf(disk.write(path, content)));
  print('whole', (await readFile(path, 'utf8')) === content);
}
print('too large', await failureOf(disk.write(path, 'x'.repeat(100 << 10))));
print('left', (await readFile(path, 'utf8')) === '6'.repeat(6000));
print('full', disk.problem);
await rm(filler);
await disk.check();
print('ordinary', await failureOf(writeStateFile(path, 'x'.repeat(6000))));
