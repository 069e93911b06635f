import { cpus, freemem, totalmem, uptime } from 'node:os';
import type { Output } from '../../dbus/definition.ts';
import type { modulesInterface } from '../../interfaces/modules.ts';
import { SharedReads } from '../../service/shared-reads.ts';
import { type ContainerStats, moduleResources, type StatsSampler } from './container-stats.ts';
import type { Disk, Disks } from './disks.ts';

/** The use of resources on this machine; sizes in bytes, times in seconds. */
export interface Resources {
  readonly hostUptime: number;
  readonly processUptime: number;
  /** Percent of all processors together. */
  readonly usedCpu: number;
  readonly usedRam: number;
  readonly totalRam: number;
  readonly disks: readonly Disk[];
  /** Of modules that have a container, whose engine responds. */
  readonly modules: ContainerStats;
}

type ResourcesRecord = Output<(typeof modulesInterface)['methods']['GetResources']>['resources'];

/** Parts of a reader of resources. */
export interface ResourceParts {
  readonly disks: Pick<Disks, 'read'>;
  readonly sampler: Pick<StatsSampler, 'read'>;
}

/** Reads resources for any number of callers, at most once a second. */
export function sharedResources(
  parts: ResourceParts,
): (modules: readonly string[], signal: AbortSignal) => Promise<Resources> {
  const reader = new ResourceReader(parts);
  const reads = new SharedReads<Resources>();
  return (modules, signal) => reads.get('', (read) => reader.read(modules, read), signal);
}

/** Reads what this machine and its modules use; takes a second when the last call is long ago. */
export class ResourceReader {
  readonly #parts: ResourceParts;
  #cpu = cpuTimes();

  constructor(parts: ResourceParts) {
    this.#parts = parts;
  }

  /** With what those modules use. */
  async read(modules: readonly string[], signal: AbortSignal): Promise<Resources> {
    const { disks, sampler } = this.#parts;
    const [found, stats] = await Promise.all([disks.read(), sampler.read(modules, signal)]);
    return {
      hostUptime: Math.floor(uptime()),
      processUptime: Math.floor(process.uptime()),
      usedCpu: this.#usedCpu(),
      usedRam: totalmem() - freemem(),
      totalRam: totalmem(),
      disks: found,
      modules: stats,
    };
  }

  /** Since the last call. */
  #usedCpu(): number {
    const before = this.#cpu;
    const now = cpuTimes();
    this.#cpu = now;
    return busyPercent(before, now);
  }
}

/** Times of all processors together. */
interface CpuTimes {
  readonly idle: number;
  readonly total: number;
}

/** The share of time, between two readings, in which processors were busy. */
export function busyPercent(before: CpuTimes, now: CpuTimes): number {
  const total = now.total - before.total;
  if (total <= 0) return 0;
  return Math.min(100, Math.max(0, (1 - (now.idle - before.idle) / total) * 100));
}

function cpuTimes(): CpuTimes {
  const all = cpus().map(({ times }) => times);
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    idle: sum(all.map(({ idle }) => idle)),
    total: sum(all.flatMap((times) => Object.values(times))),
  };
}

/** Resources as GetResources returns them. */
export function resourcesRecord(resources: Resources): ResourcesRecord {
  const { disks, modules } = resources;
  return {
    host_uptime: whole(resources.hostUptime),
    process_uptime: whole(resources.processUptime),
    used_cpu: resources.usedCpu,
    used_ram: whole(resources.usedRam),
    total_ram: whole(resources.totalRam),
    disks: disks.map((disk) => [
      disk.name,
      whole(disk.availableSpace),
      whole(disk.totalSpace),
      disk.fileSystem,
      disk.fileType,
    ]),
    modules: [...modules].map(([name, stats]) => {
      const used = moduleResources(name, stats);
      return [
        name,
        used.cpu,
        whole(used.memory),
        whole(used.memoryLimit),
        whole(used.received),
        whole(used.sent),
        whole(used.read),
        whole(used.written),
        whole(used.processes),
      ];
    }),
  };
}

/** Resources as the HTTP API has them. */
export function resourcesJson(resources: Resources): object {
  return {
    host_uptime: resources.hostUptime,
    process_uptime: resources.processUptime,
    used_cpu: resources.usedCpu,
    used_ram: resources.usedRam,
    total_ram: resources.totalRam,
    disks: resources.disks.map((disk) => ({
      name: disk.name,
      available_space: disk.availableSpace,
      total_space: disk.totalSpace,
      file_system: disk.fileSystem,
      file_type: disk.fileType,
    })),
    docker_stats: JSON.stringify([...resources.modules.values()]),
  };
}

function whole(count: number): bigint {
  return BigInt(Math.max(0, Math.floor(count)));
}
