/** Writes the same state file repeatedly until it is killed; the length of each content is in its number. */
import { writeStateFile } from '../../../src/service/state/state-file.ts';

const [, , path = ''] = process.argv;

async function run(): Promise<never> {
  for (let number = 1; ; number++) {
    const fill = String(number % 10).repeat(1000 + (number % 7) * 10_000);
    await writeStateFile(path, JSON.stringify({ number, length: fill.length, fill }));
    if (number === 1) console.log('writing');
  }
}

void run();
