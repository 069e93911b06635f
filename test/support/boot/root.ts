import { join } from 'node:path';
import { outputOf } from '../command.ts';

const script = join(import.meta.dirname, '../../../../test/distributions/booted-root.mjs');
const makeMs = 500_000;

/** The name of the system that is booted, of those in test/distributions/list.mjs. */
export const systemName = process.env['IOTEDGE_TEST_SYSTEM'] ?? 'debian-12';

/** Directories by the names of their roots: to ask for one takes the better part of a second. */
const roots = new Map<string, Promise<string>>();

/** The directory of a root, which is made when it is needed first. */
export function rootOf(name: string): Promise<string> {
  const found = roots.get(name) ?? makeRoot(name);
  roots.set(name, found);
  return found;
}

async function makeRoot(name: string): Promise<string> {
  const output = await outputOf(process.execPath, [script, name], { timeoutMs: makeMs });
  return output.toString().trim();
}
