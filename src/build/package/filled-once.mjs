import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

/** Fills a folder unless it exists. One that was interrupted leaves nothing in its place, and is repeated. */
export async function filledOnce(folder, fill) {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const beside = mkdtempSync(`${folder}.`);
  try {
    await fill(beside);
    renameSync(beside, folder);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    // another process was faster
    if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
  }
}
