import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isServiceError } from '../../errors.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import type { JsonObject } from '../docker/engine/container-engine.ts';

/** The stats of the engine's API, by module. */
export type ContainerStats = ReadonlyMap<string, JsonObject>;

/** The part of an engine that a sampler uses. */
export interface StatsEngine {
  /** One sample, without a pause: zeros of a stopped container, NotFound without a container. */
  stats(name: string, signal: AbortSignal): Promise<JsonObject>;
}

/** The times of a sampler. */
export interface SamplerTimes {
  /** Between the two samples that a share of processor time is computed from. */
  readonly gapMs: number;
  /** Older samples are not compared with. */
  readonly oldestMs: number;
  /** How long the engine may take; what has not been answered is left out. */
  readonly limitMs: number;
}

interface Sample {
  readonly at: number;
  readonly stats: ContainerStats;
}

const defaults: SamplerTimes = { gapMs: 1_000, oldestMs: 60_000, limitMs: 5_000 };

/**
 * Samples the stats of all modules at once. The engine's own pair of samples takes up to two seconds: single samples are
 * compared here instead, and the newest one is kept for the next call.
 */
export class StatsSampler {
  readonly #engine: StatsEngine;
  readonly #times: SamplerTimes;
  #last: Sample | undefined;
  /** When the engine was asked last, also for a caller that has left. */
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(engine: StatsEngine, times: Partial<SamplerTimes> = {}) {
    this.#engine = engine;
    this.#times = { ...defaults, ...times };
  }

  /** The stats of modules that have a container, with the earlier sample as `precpu_stats`. */
  async read(names: readonly string[], signal: AbortSignal): Promise<ContainerStats> {
    const { gapMs, oldestMs, limitMs } = this.#times;
    using limited = JoinedSignal.within(limitMs, signal);
    setMaxListeners(0, limited.signal); // one for each module
    const age = performance.now() - (this.#last?.at ?? Number.NEGATIVE_INFINITY);
    let before = age > oldestMs ? undefined : this.#last;
    const pause = () =>
      sleep(Math.max(0, this.#askedAt + gapMs - performance.now()), undefined, { signal });
    if (before === undefined) {
      await pause();
      before = await this.#sample(names, limited.signal, signal);
    }
    await pause();
    const { stats } = await this.#sample(names, limited.signal, signal);
    const earlier = before.stats;
    return new Map([...stats].map(([name, one]) => [name, since(one, earlier.get(name))]));
  }

  /** Cancelled when the caller has left: the answers that are missing then belong to no sample. */
  async #sample(
    names: readonly string[],
    signal: AbortSignal,
    caller: AbortSignal,
  ): Promise<Sample> {
    const at = performance.now();
    this.#askedAt = at;
    const stats = new Map<string, JsonObject>();
    const read = async (name: string): Promise<void> => {
      const one = await this.#one(name, signal);
      if (one !== undefined) stats.set(name, one);
    };
    await Promise.all(names.map(read));
    caller.throwIfAborted();
    this.#last = { at, stats };
    return this.#last;
  }

  async #one(name: string, signal: AbortSignal): Promise<JsonObject | undefined> {
    try {
      return await this.#engine.stats(name, signal);
    } catch (error) {
      // the others are reported all the same
      if (isServiceError(error)) return undefined;
      throw error;
    }
  }
}

/** A sample of the same container, with the processor time of an earlier one. */
function since(stats: JsonObject, before: JsonObject | undefined): JsonObject {
  if (before === undefined || before['id'] !== stats['id']) return stats;
  return { ...stats, precpu_stats: before['cpu_stats'], preread: before['read'] };
}

/** The use of resources by one module; sizes in bytes. */
export interface ModuleResources {
  readonly name: string;
  /** Percent of one processor. */
  readonly cpu: number;
  readonly memory: number;
  readonly memoryLimit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly processes: number;
}

/** Evaluates stats as the engine's own command line does. */
export function moduleResources(name: string, stats: JsonObject): ModuleResources {
  const memory = objectIn(stats, 'memory_stats');
  const networks = Object.values(objectIn(stats, 'networks'));
  const total = (key: string): number =>
    networks.reduce((sum: number, one) => sum + numberIn(asObject(one), key), 0);
  return {
    name,
    cpu: cpuOf(stats),
    memory: Math.max(0, numberIn(memory, 'usage') - inactive(objectIn(memory, 'stats'))),
    memoryLimit: numberIn(memory, 'limit'),
    received: total('rx_bytes'),
    sent: total('tx_bytes'),
    read: blockBytes(stats, 'read'),
    written: blockBytes(stats, 'write'),
    processes: numberIn(objectIn(stats, 'pids_stats'), 'current'),
  };
}

function cpuOf(stats: JsonObject): number {
  const [now, before] = [objectIn(stats, 'cpu_stats'), objectIn(stats, 'precpu_stats')];
  const used = (cpu: JsonObject): number => numberIn(objectIn(cpu, 'cpu_usage'), 'total_usage');
  const ofMachine = numberIn(now, 'system_cpu_usage') - numberIn(before, 'system_cpu_usage');
  const ofModule = used(now) - used(before);
  // without an earlier sample it would be an average since the boot
  if (numberIn(before, 'system_cpu_usage') === 0 || ofMachine <= 0 || ofModule <= 0) return 0;
  return (ofModule / ofMachine) * (numberIn(now, 'online_cpus') || 1) * 100;
}

/** Pages of files that were not used lately; the first name is that of cgroup v1. */
function inactive(stats: JsonObject): number {
  return numberIn(stats, 'total_inactive_file') || numberIn(stats, 'inactive_file');
}

function blockBytes(stats: JsonObject, kind: 'read' | 'write'): number {
  const entries = objectIn(stats, 'blkio_stats')['io_service_bytes_recursive'];
  if (!Array.isArray(entries)) return 0;
  return entries.reduce((sum: number, entry: unknown) => {
    const one = asObject(entry);
    return String(one['op']).toLowerCase() === kind ? sum + numberIn(one, 'value') : sum;
  }, 0);
}

function objectIn(value: JsonObject, key: string): JsonObject {
  return asObject(value[key]);
}

function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** The engine reports more than 2^53 where there is no limit. */
function numberIn(value: JsonObject, key: string): number {
  const number = value[key];
  return typeof number === 'number' && number > 0 ? Math.min(number, Number.MAX_SAFE_INTEGER) : 0;
}
