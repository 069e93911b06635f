import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { ModulesConfig } from '../../modules/config/config.ts';
import type { Systemd } from '../systemd/manager.ts';
import { alwaysRuns, serviceUnit, socketApis, socketUnit } from '../systemd/units.ts';
import { dropInPath, type SocketChange, socketChange, unusable } from './socket-drop-ins.ts';
import type { Steps } from './steps.ts';

/** What became of the socket units. */
export interface KeptSockets {
  /** Whether the Module Runtime was restarted, which has then read its configuration. */
  readonly isRestarted: boolean;
  /** What is not as it shall be, and why. */
  readonly problems: readonly string[];
}

/** Makes the socket units listen where modules.yaml says, and restarts them when that changed. */
export async function keepSockets(
  { listen }: Pick<ModulesConfig, 'listen'>,
  { systemd, steps }: { readonly systemd: Systemd; readonly steps: Steps },
): Promise<KeptSockets> {
  const changes: SocketChange[] = [];
  const problems: string[] = [];
  for (const api of socketApis) {
    const unit = socketUnit(api);
    const setting = `listen.${api}_uri`;
    const problem = unusable(listen[api]);
    if (problem !== undefined) {
      problems.push(`${setting} of modules.yaml: ${problem}`);
      continue;
    }
    const file = (await systemd.unit(unit)).get('FragmentPath');
    const unitFile = typeof file === 'string' && file !== '' ? readFileSync(file, 'utf8') : '';
    if (unitFile === '') continue; // the service binds its sockets itself
    const dropIn = readIfThere(dropInPath(unit));
    const change = socketChange({ unit, setting, wanted: listen[api], unitFile, dropIn });
    if (change !== undefined) changes.push(change);
  }
  if (changes.length === 0) return { isRestarted: false, problems };
  for (const change of changes) {
    const what = change.text === undefined ? 'removed, the unit itself' : 'written, the unit';
    await steps.take(`${change.path}: ${what} listens on ${change.wanted}`, () => write(change));
  }
  await steps.take("systemd: read the units' files again", () => systemd.reload());
  const restarted = await restart(changes, { systemd, steps });
  return { isRestarted: restarted.isRestarted, problems: [...problems, ...restarted.problems] };
}

/**
 * A socket unit cannot start while its service runs. The service is restarted rather than stopped, so that systemd keeps
 * the sockets of modules for it.
 */
async function restart(
  changes: readonly SocketChange[],
  { systemd, steps }: { readonly systemd: Systemd; readonly steps: Steps },
): Promise<KeptSockets> {
  const problems: string[] = [];
  const service = serviceUnit({ name: alwaysRuns });
  const state = (await systemd.unit(service)).get('ActiveState');
  const isRestarted = state === 'active' || state === 'activating' || state === 'reloading';
  const job = async (...[verb, unit]: Parameters<Systemd['job']>): Promise<void> => {
    const result = await systemd.job(verb, unit);
    if (result !== 'done') problems.push(`${unit}: systemd reports "${result}" for its restart`);
  };
  for (const { unit } of changes) {
    if (isRestarted) await steps.take(`${unit}: stopped`, () => job('StopUnit', unit));
    else await steps.take(`${unit}: restarted`, () => job('RestartUnit', unit));
  }
  if (isRestarted) {
    await steps.take(`${service}: restarted with its sockets`, () => job('RestartUnit', service));
  }
  return { isRestarted, problems };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes or removes a drop-in. A power cut leaves the old file or the new one. */
function write({ path, text }: SocketChange): void {
  if (text === undefined) {
    rmSync(path);
    removeIfEmpty(dirname(path));
    return;
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const temporary = `${path}.${process.pid}`;
  const file = openSync(temporary, 'w', 0o644);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOTEMPTY') throw error; // somebody else's drop-ins
  }
}
