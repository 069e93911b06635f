import { join } from 'node:path';
import { describeError } from '../../../errors.ts';
import { type ModuleName, parseModuleName } from '../../../ids.ts';
import type { Log } from '../../../service/log/log.ts';
import { jsonRecords, RecordDirectory } from '../../../service/state/record-directory.ts';
import { memberObject, objectAt } from '../create-options/create-options.ts';
import { Repairs } from './repairs.ts';
import { changedTraits, type Traits } from './traits.ts';

/** A container that this runtime created. */
export interface CreatedContainer {
  readonly id: string;
  /** As the engine reported them after the creation. */
  readonly traits: Traits;
}

/** How another client changed a container. */
export interface Drift {
  /** In the engine's words; `Id` when another client created it. */
  readonly changed: readonly string[];
  /** When it is to be made again, undefined when it is now. */
  readonly repairAt: Date | undefined;
}

/** Dependencies of the record of created containers. */
export interface CreatedContainersOptions {
  readonly now: () => Date;
  readonly log: Log;
  /** The pause before a record that could not be written is written again. */
  readonly retryMs?: number | undefined;
}

const longRetryMs = 60_000;
/** The current one, one that is kept for a roll-back, and those that were removed last. */
const most = 4;
/** The persisted containers of a module. */
interface Recorded {
  readonly containers: readonly CreatedContainer[];
  /** Whether another one was being created. */
  readonly isCreating: boolean;
}
const form = jsonRecords<ModuleName, Recorded>({
  parseId: parseModuleName,
  parse: parseRecorded,
  format: ({ containers, isCreating }) => ({ containers, ...(isCreating && { isCreating }) }),
});

/**
 * The containers that this runtime created, and how the engine described them then: whatever differs later was changed by
 * another client. Persisted; without a usable record a container is accepted as it is, so a record that cannot be written
 * does not stay as it was before.
 */
export class CreatedContainers {
  readonly #options: CreatedContainersOptions;
  readonly #records: RecordDirectory<ModuleName, Recorded>;
  readonly #known = new Map<ModuleName, readonly CreatedContainer[]>();
  /** The modules whose containers are being created: the new ones are not recorded yet. */
  readonly #creating = new Set<string>();
  /** The modules of which a previous process may have created one more container. */
  readonly #interrupted = new Set<ModuleName>();
  /** The modules whose records could not be written, and when that failed last, by the monotonic clock. */
  readonly #unsaved = new Map<ModuleName, number>();
  readonly #repairs = new Map<string, Repairs>();

  private constructor(
    options: CreatedContainersOptions,
    records: RecordDirectory<ModuleName, Recorded>,
  ) {
    this.#options = options;
    this.#records = records;
    for (const [name, { value, damage }] of records.entries) {
      if (value !== undefined) this.#known.set(name, value.containers);
      else this.#warn(name, damage);
      if (value?.isCreating === true) this.#interrupted.add(name);
    }
  }

  /** The record below a state directory. */
  static async open(
    stateDirectory: string,
    options: CreatedContainersOptions,
  ): Promise<CreatedContainers> {
    const records = await RecordDirectory.open(join(stateDirectory, 'containers'), form);
    return new CreatedContainers(options, records);
  }

  /** Runs the creation of a module's container, and records the container that it returns. */
  async create(module: string, create: () => Promise<CreatedContainer>): Promise<void> {
    const name = moduleNameOf(module);
    this.#creating.add(module);
    try {
      if (name !== undefined) await this.#withdraw(name);
      const container = await create();
      if (name !== undefined) this.#interrupted.delete(name);
      if (name !== undefined) await this.#add(name, container);
    } finally {
      this.#creating.delete(module);
    }
  }

  /**
   * Records that a module gets another container: if that one cannot be recorded, as on a full disk or after a power cut,
   * the next process would take it for that of another client. Those before stay known: one may be parked for a roll-back.
   */
  async #withdraw(name: ModuleName): Promise<void> {
    const records = this.#records;
    if (!records.entries.has(name)) return;
    this.#unsaved.set(name, performance.now());
    const containers = this.#known.get(name) ?? [];
    try {
      await records.put(name, { containers, isCreating: true });
    } catch {
      // a full disk: without a record, each is accepted as it is
      await records.delete(name).catch((error: unknown) => this.#warn(name, error));
    }
  }

  /** How another client changed the container of a module, undefined when none did. */
  async drift(module: string, container: CreatedContainer): Promise<Drift | undefined> {
    const name = moduleNameOf(module);
    if (name === undefined || this.#creating.has(module)) return undefined;
    await this.#retry(name);
    const known = this.#known.get(name);
    if (known === undefined) {
      await this.#add(name, container);
      return undefined;
    }
    const created = known.find(({ id }) => id === container.id);
    if (created === undefined && this.#interrupted.delete(name)) {
      await this.#add(name, container);
      return undefined;
    }
    const changed =
      created === undefined ? ['Id'] : changedTraits(created.traits, container.traits);
    if (changed.length === 0) return undefined;
    return { changed, repairAt: this.#repairAt(name, container.id, changed) };
  }

  /** Whether this runtime created the container of a module, as far as it is recorded. */
  has(module: string, id: string): boolean {
    const name = moduleNameOf(module);
    return name !== undefined && this.#known.get(name)?.some((one) => one.id === id) === true;
  }

  /** Forgets a container that was removed. */
  async remove(id: string): Promise<void> {
    for (const [name, containers] of this.#known) {
      if (!containers.some((container) => container.id === id)) continue;
      await this.#set(
        name,
        containers.filter((container) => container.id !== id),
      );
    }
  }

  #repairAt(name: ModuleName, id: string, changed: readonly string[]): Date | undefined {
    const { log, now } = this.#options;
    const repairs = this.#repairs.get(name) ?? new Repairs(now);
    this.#repairs.set(name, repairs);
    const isKnown = repairs.has(id);
    const at = repairs.due(id);
    if (!isKnown) log.warn('container changed by another client', { module: name, changed });
    return at;
  }

  #add(name: ModuleName, container: CreatedContainer): Promise<void> {
    const others = (this.#known.get(name) ?? []).filter(({ id }) => id !== container.id);
    return this.#set(name, [container, ...others].slice(0, most));
  }

  async #set(name: ModuleName, containers: readonly CreatedContainer[]): Promise<void> {
    if (containers.length === 0) this.#known.delete(name);
    else this.#known.set(name, containers);
    const records = this.#records;
    try {
      const isCreating = this.#interrupted.has(name);
      const isEmpty = containers.length === 0;
      await (isEmpty ? records.delete(name) : records.put(name, { containers, isCreating }));
      this.#unsaved.delete(name);
    } catch (error) {
      this.#unsaved.set(name, performance.now());
      this.#warn(name, error);
    }
  }

  /** Writes again, after a while, what could not be written. */
  async #retry(name: ModuleName): Promise<void> {
    const failedMs = this.#unsaved.get(name);
    const { retryMs = longRetryMs } = this.#options;
    if (failedMs === undefined || performance.now() - failedMs < retryMs) return;
    await this.#set(name, this.#known.get(name) ?? []);
  }

  /** Nothing depends on the file until the next start. */
  #warn(module: ModuleName, error: unknown): void {
    const text = describeError(error);
    this.#options.log.warn('record of containers unusable', { module, error: text });
  }
}

function moduleNameOf(text: string): ModuleName | undefined {
  try {
    return parseModuleName(text);
  } catch {
    return undefined; // a label that another client wrote
  }
}

function parseRecorded(value: unknown): Recorded {
  const { containers, isCreating } = { ...objectAt(value, 'a record of containers') };
  if (!Array.isArray(containers)) throw new TypeError('it names no containers');
  return { containers: containers.map(parseContainer), isCreating: isCreating === true };
}

function parseContainer(container: unknown): CreatedContainer {
  const { id, traits } = { ...objectAt(container, 'a container') };
  const { image, ...rest } = { ...objectAt(traits, 'traits') };
  if (typeof id !== 'string' || typeof image !== 'string') throw new TypeError('it has no id');
  const [resources, networks] = [memberObject(rest, 'resources'), memberObject(rest, 'networks')];
  return { id, traits: { image, resources, networks: networks as Traits['networks'] } };
}
