import { join } from 'node:path';
import { outputOf } from '../command.ts';

const script = join(import.meta.dirname, '../../../../test/distributions/booted-root.mjs');
const makeMs = 500_000;

/** The name of the system that is booted, of those in test/distributions/list.mjs. */
export const systemName = process.env['IOTEDGE_TEST_SYSTEM'] ?? 'debian-12';

/** The directory of a root, which is made when it is needed first. */
export async function rootOf(name: string): Promise<string> {
  const output = await outputOf(process.execPath, [script, name], { timeoutMs: makeMs });
  return output.toString().trim();
}
