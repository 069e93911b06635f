/** Servers that still use a former certificate: the last reload of each watch against the present version. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemCode } from '../../errors.ts';
import { formatTime } from '../output.ts';
import { reloadsDirectory, watchPrefix } from './watch-units.ts';

/** Where the files of the units and of their reloads are. */
export interface WatchPlaces {
  readonly units: string;
  readonly state: string;
}

/** A server that uses a former certificate. */
export interface Unreloaded {
  /** The certificate. */
  readonly id: string;
  /** Which server, since and until when, in one line. */
  readonly text: string;
}

const installed: WatchPlaces = { units: '/etc/systemd/system', state: '/var/lib' };
/** The timer of a watch has had its turn by then, twice. */
const lateMs = 2 * 3_600_000 + 600_000;
/** So long after its swap the Certificates service keeps a former certificate and its key. */
const graceMs = 24 * 3_600_000;

/** The servers that were not reloaded although their certificates were replaced long ago. */
export async function unreloadedServers(
  now: Date,
  { units, state }: WatchPlaces = installed,
): Promise<readonly Unreloaded[]> {
  const names = (await readdir(units).catch(orNothing)) ?? [];
  const watches = names.filter((name) => name.startsWith(watchPrefix) && name.endsWith('.service'));
  const lines = watches.sort().map(async (unit) => {
    const content = (await readFile(join(units, unit), 'utf8').catch(orNothing)) ?? '';
    const field = (name: string): string =>
      new RegExp(`^${name}=(.+)$`, 'm').exec(content)?.[1] ?? '';
    const link = field('Link');
    const version = await readlink(link).catch(orNothing);
    const stats = await lstat(link).catch(orNothing);
    if (version === undefined || stats === undefined) return [];
    const record = join(state, reloadsDirectory, unit.replace(/\.service$/, ''));
    const read = (await readFile(record, 'utf8').catch(orNothing))?.trim();
    if (read === version) return [];
    // several swaps later its grace period is still that of the version which the server has read
    const used = read && (await lstat(resolve(dirname(link), read)).catch(orNothing));
    const swapped = used ? used.mtimeMs : stats.mtimeMs;
    // the files of that version are kept no longer than its key
    const isGone = read !== undefined && !used;
    const since = isGone ? (await lstat(record)).mtimeMs : swapped;
    if (now.getTime() - since < lateMs) return [];
    const until = swapped + graceMs;
    const isOver = isGone || until <= now.getTime();
    const key = isOver ? 'may not be usable any more' : `is usable until ${shown(until)}`;
    const server = `${field('Reload')} was not reloaded since it was replaced at ${shown(swapped)}`;
    const text = `${server}; the former key ${key}: systemctl start ${unit}`;
    return [{ id: field('Certificate'), text }];
  });
  return (await Promise.all(lines)).flat();
}

function shown(ms: number): string {
  return formatTime(ms * 1000);
}

function orNothing(error: unknown): undefined {
  // missing, unreadable, or no longer a link: then there is no watch to report
  if (systemCode(error) === undefined) throw error;
  return undefined;
}
