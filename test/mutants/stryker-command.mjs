// Runs the suites of the file with the active mutant; of all files when none is active.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { pureFiles } from './pure-files.mjs';

/** A mutant whose suite hangs counts as detected. */
const deadlineMs = 15_000;

const mutant = process.env.__STRYKER_ACTIVE_MUTANT__;
const files = Object.keys(pureFiles).filter(
  (file) => mutant === undefined || readFileSync(file, 'utf8').includes(`("${mutant}")`),
);
for (const suite of new Set(files.flatMap((file) => pureFiles[file]))) {
  const file = `dist/test/${suite}.test.js`;
  const { status } = spawnSync(process.execPath, [file], { stdio: 'ignore', timeout: deadlineMs });
  if (status !== 0) {
    console.log(`${suite} failed`);
    process.exitCode = 1;
    break;
  }
}
