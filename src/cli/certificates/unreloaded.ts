/** Servers that still use a former certificate: the last reload of each watch against the present version. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
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
/** So long after the swap the Certificates service keeps the former certificate and its key. */
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
    const swapped = stats.mtimeMs;
    if (read === version || now.getTime() - swapped < lateMs) return [];
    const [at, until] = [swapped, swapped + graceMs].map((ms) => formatTime(ms * 1000));
    const server = `${field('Reload')} was not reloaded since it was replaced at ${at}`;
    const text = `${server}; the former key is usable until ${until}: systemctl start ${unit}`;
    return [{ id: field('Certificate'), text }];
  });
  return (await Promise.all(lines)).flat();
}

function orNothing(error: unknown): undefined {
  // missing, unreadable, or no longer a link: then there is no watch to report
  if (systemCode(error) === undefined) throw error;
  return undefined;
}
