import { setTimeout } from 'node:timers/promises';
import { isServiceError, ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import type { ModuleView } from '../module-view.ts';
import type { Runtime } from '../runtime.ts';

/** The runtime may notice the end of a container, and the engine after its own start, a little later than the log. */
const noticeMs = 2000;

/**
 * Throws Unavailable for a followed log that ended although the run of the module has not: the Module Runtime was
 * stopped or ended.
 */
export async function assertRunEnded(
  runtime: Pick<Runtime, 'find'>,
  before: Pick<ModuleView, 'name' | 'state' | 'startedAt'>,
  pauseMs = noticeMs,
): Promise<void> {
  if (before.state !== 'running' || !(await isSameRun(runtime, before))) return;
  await setTimeout(pauseMs);
  if (!(await isSameRun(runtime, before))) return;
  const problem = 'the Module Runtime was stopped or has restarted';
  const text = `the log of module ${quoted(before.name)} ended although it runs: ${problem}`;
  throw new ServiceError('Unavailable', `${text}; run the command again`);
}

/** Whether the module is known to run as before, or nothing is known of it. */
async function isSameRun(
  runtime: Pick<Runtime, 'find'>,
  { name, startedAt }: Pick<ModuleView, 'name' | 'startedAt'>,
): Promise<boolean> {
  try {
    const now = await runtime.find(name);
    if (now?.state === 'unknown') return true;
    return now?.state === 'running' && now.startedAt === startedAt;
  } catch (error) {
    if (!isServiceError(error, 'Unavailable')) throw error;
    return true;
  }
}
