import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, posix } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { ModulesConfig } from '../../modules/config/config.ts';
import type { Properties, Systemd } from '../systemd/manager.ts';
import { listenPaths, stateOf } from '../systemd/unit-state.ts';
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

interface Tools {
  readonly systemd: Systemd;
  readonly steps: Steps;
}

/** A socket unit, and where modules.yaml says that it listens. */
interface Socket {
  readonly unit: string;
  readonly wanted: string;
  readonly change: SocketChange | undefined;
  /** Whether it does not listen there yet, although its drop-in says so. */
  readonly isStale: boolean;
}

const service = serviceUnit({ name: alwaysRuns });

/** Makes the socket units listen where modules.yaml says, and restarts them when they do not. */
export async function keepSockets(
  { listen }: Pick<ModulesConfig, 'listen'>,
  tools: Tools,
): Promise<KeptSockets> {
  const sockets: Socket[] = [];
  const problems: string[] = [];
  const isRunning = await runs(tools.systemd);
  for (const api of socketApis) {
    const problem = unusable(listen[api]);
    if (problem !== undefined) problems.push(`listen.${api}_uri of modules.yaml: ${problem}`);
    else sockets.push(...(await findSocket(api, listen[api], { ...tools, isRunning })));
  }
  const moved = sockets.filter(({ change, isStale }) => change !== undefined || isStale);
  if (moved.length > 0) problems.push(...(await move(moved, { ...tools, isRunning })));
  for (const socket of tools.steps.isDryRun ? [] : sockets) {
    problems.push(...(await problemsOf(socket, tools)));
  }
  return { isRestarted: moved.length > 0 && isRunning, problems };
}

async function runs(systemd: Systemd): Promise<boolean> {
  const state = (await systemd.unit(service)).get('ActiveState');
  return state === 'active' || state === 'activating' || state === 'reloading';
}

async function findSocket(
  api: (typeof socketApis)[number],
  wanted: string,
  { systemd, isRunning }: Tools & { readonly isRunning: boolean },
): Promise<readonly Socket[]> {
  const unit = socketUnit(api);
  const properties = await systemd.unit(unit);
  const file = properties.get('FragmentPath');
  const unitFile = typeof file === 'string' && file !== '' ? readFileSync(file, 'utf8') : '';
  if (unitFile === '') return []; // the service binds its sockets itself
  const dropIn = readIfThere(dropInPath(unit));
  const setting = `listen.${api}_uri`;
  const change = socketChange({ unit, setting, wanted, unitFile, dropIn });
  // systemd may have read the drop-in without a restart of the unit, which has then closed its socket
  const isLost = listensAt(properties, wanted) && !existsSync(wanted);
  const isClosed = properties.get('ActiveState') === 'active' ? isLost : isRunning;
  const isUnread = needsReload(properties) || (dropIn !== undefined && !hasRead(properties, unit));
  const isStale = isUnread || isClosed;
  return [{ unit, wanted, change, isStale }];
}

const needsReload = (properties: Properties): boolean =>
  properties.get('NeedDaemonReload') === true;

/** systemd 252 needs no reload for a drop-in whose directory is newer than the last one. */
function hasRead(properties: Properties, unit: string): boolean {
  const paths = properties.get('DropInPaths');
  return Array.isArray(paths) && paths.includes(dropInPath(unit));
}

/**
 * A socket unit cannot start while its service runs. The service is restarted rather than stopped, so that systemd keeps
 * the sockets of modules for it. Sockets stop before systemd reads its files: wherever this is interrupted, it finds
 * them stale the next time.
 */
async function move(
  sockets: readonly Socket[],
  { systemd, steps, isRunning }: Tools & { readonly isRunning: boolean },
): Promise<readonly string[]> {
  const problems: string[] = [];
  const job = async (...[verb, unit]: Parameters<Systemd['job']>): Promise<void> => {
    const result = await systemd.job(verb, unit);
    if (result !== 'done') problems.push(`${unit}: systemd reports "${result}" for its restart`);
  };
  for (const { change } of sockets) {
    if (change === undefined) continue;
    const what = change.text === undefined ? 'removed, the unit itself' : 'written, the unit';
    await steps.take(`${change.path}: ${what} listens on ${change.wanted}`, () => write(change));
  }
  for (const { unit } of sockets) {
    await steps.take(`${unit}: stopped`, async () => {
      await job('StopUnit', unit);
      await systemd.resetFailed(unit);
    });
  }
  await steps.take("systemd: read the units' files again", () => systemd.reload());
  if (isRunning) {
    await steps.take(`${service}: restarted with its sockets`, () => job('RestartUnit', service));
    return problems;
  }
  for (const { unit } of sockets) {
    await steps.take(`${unit}: started`, () => job('StartUnit', unit));
  }
  return problems;
}

/** Why a unit does not listen where it shall: it failed, or a drop-in of an administrator says otherwise. */
async function problemsOf(
  { unit, wanted }: Socket,
  { systemd }: Tools,
): Promise<readonly string[]> {
  const properties = await systemd.unit(unit);
  const problem = stateOf(properties, unit)?.problem ?? '';
  if (problem !== '') return [problem];
  if (listensAt(properties, wanted)) return [];
  const paths = listenPaths(properties);
  const advice = `remove ListenStream from the drop-in that sets it: 'systemctl cat ${unit}'`;
  return [`${unit} listens on ${paths.join(', ')}, and not on ${wanted}: ${advice}`];
}

function listensAt(properties: Properties, path: string): boolean {
  return listenPaths(properties).includes(posix.normalize(path));
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
    if (systemCode(error) !== 'ENOTEMPTY') throw error; // an administrator's drop-ins
  }
}
