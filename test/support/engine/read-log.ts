import { logText } from '../../../src/modules/logs/log-text.ts';
import type { ModuleLog } from '../../../src/modules/supervisor/module-type.ts';

/** The text of a log, read to its end. */
export async function readLog(log: Promise<ModuleLog>, timestamps = false): Promise<string> {
  const { entries } = await log;
  const parts: Buffer[] = [];
  for await (const part of logText(entries, { timestamps })) parts.push(part);
  return Buffer.concat(parts).toString();
}
