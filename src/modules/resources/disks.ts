import { readFile, statfs } from 'node:fs/promises';
import { within } from './within.ts';

/** A mounted file system; sizes in bytes. */
export interface Disk {
  /** Its device. */
  readonly name: string;
  readonly availableSpace: number;
  readonly totalSpace: number;
  /** Its type, such as `ext4`. */
  readonly fileSystem: string;
  readonly fileType: 'HDD' | 'SSD' | 'Unknown(-1)';
}

/** A line of mountinfo. */
export interface Mount {
  /** `major:minor` of its device. */
  readonly device: string;
  readonly point: string;
  readonly fileSystem: string;
  readonly source: string;
}

/** Sizes are those of `statfs`. */
export interface DisksParts {
  readonly mounts: () => Promise<string>;
  readonly sizes: (
    point: string,
  ) => Promise<{ readonly bsize: number; readonly blocks: number; readonly bavail: number }>;
  /** What `/sys` says about a device, `` when nothing. */
  readonly rotational: (device: string) => Promise<string>;
  readonly limitMs: number;
}

const most = 64;
/** Each occupies one of the few threads that Node has for the file system. */
const maxHanging = 2;
/** Images, and what the kernel makes up. */
const notDisks: ReadonlySet<string> = new Set(['squashfs', 'iso9660', 'erofs', 'devtmpfs']);

const system: DisksParts = {
  mounts: () => readFile('/proc/self/mountinfo', 'utf8'),
  sizes: (point) => statfs(point),
  rotational,
  limitMs: 2_000,
};

/** The file systems of this machine. */
export class Disks {
  readonly #parts: DisksParts;
  /** Mounts that do not respond occupy a thread each, so they are not asked again. */
  readonly #asked = new Set<string>();

  constructor(parts: Partial<DisksParts> = {}) {
    this.#parts = { ...system, ...parts };
  }

  /** Those that respond in time. */
  async read(): Promise<readonly Disk[]> {
    const text = await this.#parts.mounts().catch(() => '');
    const disks: Disk[] = [];
    // one after the other: many that hang would occupy all threads of the process
    for (const mount of mountsOf(text)) {
      const disk = await this.#disk(mount);
      if (disk !== undefined) disks.push(disk);
    }
    return disks;
  }

  async #disk({ device, point, fileSystem, source }: Mount): Promise<Disk | undefined> {
    const { rotational: kind, limitMs } = this.#parts;
    const [sizes, turns] = await Promise.all([within(limitMs, this.#sizes(point)), kind(device)]);
    if (sizes === undefined || sizes.blocks === 0) return undefined;
    return {
      name: source,
      availableSpace: sizes.bavail * sizes.bsize,
      totalSpace: sizes.blocks * sizes.bsize,
      fileSystem,
      fileType: turns === '1' ? 'HDD' : turns === '0' ? 'SSD' : 'Unknown(-1)',
    };
  }

  async #sizes(point: string) {
    if (this.#asked.has(point) || this.#asked.size >= maxHanging) return undefined;
    this.#asked.add(point);
    try {
      return await this.#parts.sizes(point);
    } catch {
      return undefined; // it was unmounted meanwhile, or is not for this user
    } finally {
      this.#asked.delete(point);
    }
  }
}

/**
 * The local file systems of a mountinfo, each once, however often it is mounted: the sandbox of a service mounts parts of
 * the root again. Those of other machines are left out, as they may not respond.
 */
export function mountsOf(text: string): readonly Mount[] {
  const byDevice = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const mount = mountOf(line);
    if (mount === undefined || !isLocalDisk(mount)) continue;
    const before = byDevice.get(mount.device);
    if (before === undefined || mount.point.length < before.point.length) {
      byDevice.set(mount.device, mount);
    }
  }
  return [...byDevice.values()].slice(0, most);
}

function mountOf(line: string): Mount | undefined {
  // optional fields precede the separator: proc_pid_mountinfo(5)
  const [, , device, , point] = line.split(' ');
  const [fileSystem, source] = (line.split(' - ')[1] ?? '').split(' ');
  if (device === undefined || point === undefined || !fileSystem || !source) return undefined;
  return { device, point: unescaped(point), fileSystem, source: unescaped(source) };
}

function isLocalDisk({ point, fileSystem, source }: Mount): boolean {
  if (notDisks.has(fileSystem)) return false;
  return point === '/' || fileSystem === 'zfs' || source.startsWith('/dev/');
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** Of a partition the disk knows. */
async function rotational(device: string): Promise<string> {
  for (const place of ['queue', '../queue']) {
    const path = `/sys/dev/block/${device}/${place}/rotational`;
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text !== '') return text.trim();
  }
  return '';
}
