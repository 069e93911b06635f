/**
 * What people who help with a device need to see of it, as files. Each is read only when it is sent, one after the other;
 * one that cannot be read contains the reason.
 */
import type { Via } from '../../dbus/client/via.ts';
import { describeError } from '../../errors.ts';
import type { ModuleName } from '../../ids.ts';
import type { JsonObject } from '../docker/engine/container-engine.ts';
import type { TimeRange } from './journal.ts';
import { withoutSecrets } from './redaction.ts';
import type { ZipEntry } from './zip.ts';

/** The part of a device that a bundle is about. */
export interface BundleRequest extends TimeRange {
  /** Only the agent and the hub of the modules. */
  readonly runtimeOnly: boolean;
}

/** Sources of a bundle. */
export interface BundleParts {
  /** The names of all modules. */
  readonly modules: () => readonly ModuleName[];
  /** The names of the agent and the hub. */
  readonly runtimeModules: () => readonly string[];
  readonly configuration: () => object;
  /** The result of Describe, by the name of the service. */
  readonly descriptions: Readonly<Record<string, (via: Via) => Promise<string>>>;
  /** The results of checks, in the form of Azure's program. */
  readonly checks: (via: Via) => Promise<object>;
  readonly log: (
    module: ModuleName,
    range: TimeRange,
    signal: AbortSignal,
  ) => AsyncIterable<Uint8Array>;
  /** The engine's description of a module's container. */
  readonly inspect: (module: ModuleName, signal: AbortSignal) => Promise<JsonObject>;
  readonly networks: (signal: AbortSignal) => Promise<readonly JsonObject[]>;
  readonly journal: (
    unit: string,
    range: TimeRange,
    signal: AbortSignal,
  ) => AsyncIterable<Uint8Array>;
  readonly limits?: BundleLimits;
}

/** How large a file, and all files together, may be; the rest is left out. */
export interface BundleLimits {
  readonly fileBytes: number;
  readonly allBytes: number;
}

/** A zip file without zip64 has room for 4 GiB. */
const defaultLimits: BundleLimits = { fileBytes: 64 << 20, allBytes: 2 ** 30 };
const maxNetworks = 256;

/** The files of a bundle. */
export async function* bundleEntries(
  parts: BundleParts,
  request: BundleRequest,
  via: Via,
): AsyncGenerator<ZipEntry> {
  const { signal } = via;
  const budget = new Budget(parts.limits ?? defaultLimits, signal);
  const file = (name: string, read: () => AsyncIterable<Uint8Array>): ZipEntry => ({
    name,
    content: budget.limited(read),
  });
  const json = (name: string, read: () => unknown): ZipEntry =>
    file(name, async function* () {
      yield Buffer.from(`${JSON.stringify(withoutSecrets(await read()), undefined, 2)}\n`);
    });
  yield json('check.json', () => parts.checks(via));
  for (const [service, describe] of Object.entries(parts.descriptions)) {
    // public, and without secrets
    yield file(`describe/${service}.json`, async function* () {
      yield Buffer.from(`${await describe(via)}\n`);
    });
  }
  yield json('config/modules.json', parts.configuration);
  for (const service of Object.keys(parts.descriptions)) {
    const unit = `iotedge-${service}`;
    yield file(`logs/${unit}.txt`, () => parts.journal(`${unit}.service`, request, signal));
  }
  const runtime = new Set<string>(parts.runtimeModules());
  for (const module of parts.modules()) {
    if (request.runtimeOnly && !runtime.has(module)) continue;
    yield file(`logs/${module}_log.txt`, () => parts.log(module, request, signal));
    yield json(`inspect/${module}.json`, () => parts.inspect(module, signal));
  }
  for (const [index, network] of (await networksOf(parts, signal))
    .slice(0, maxNetworks)
    .entries()) {
    yield json(`network/${fileName(network['Name'], index)}.json`, () => network);
  }
}

async function networksOf(parts: BundleParts, signal: AbortSignal): Promise<readonly JsonObject[]> {
  try {
    return await parts.networks(signal);
  } catch (error) {
    signal.throwIfAborted();
    return [{ Name: 'networks', problem: describeError(error) }];
  }
}

/** A name that any program that unpacks it accepts, and that stays within its directory. */
function fileName(name: unknown, index: number): string {
  return typeof name === 'string' && /^[A-Za-z0-9][\w.-]{0,127}$/.test(name) ? name : `${index}`;
}

/** Limits files, and replaces the failure of one by its reason. */
class Budget {
  readonly #limits: BundleLimits;
  readonly #signal: AbortSignal;
  #left: number;

  constructor(limits: BundleLimits, signal: AbortSignal) {
    this.#limits = limits;
    this.#signal = signal;
    this.#left = limits.allBytes;
  }

  async *limited(read: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let left = Math.min(this.#limits.fileBytes, this.#left);
    try {
      for await (const chunk of read()) {
        const part = chunk.subarray(0, left);
        left -= part.length;
        this.#left -= part.length;
        yield part;
        if (part.length === chunk.length) continue;
        yield Buffer.from('\n(the rest is left out: too large)\n');
        return;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      yield Buffer.from(`(cannot be read: ${describeError(error)})\n`);
    }
  }
}
