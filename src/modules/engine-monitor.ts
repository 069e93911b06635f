import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../errors.ts';
import type { Log } from '../service/log.ts';
import type { ContainerEngine } from './engine.ts';

const firstMs = 1_000;
const longestMs = 30_000;

/** What is known about the engine. */
export interface EngineStatus {
  readonly name: string;
  readonly version: string;
  readonly reachable: boolean;
  /** Why it cannot be reached, `` when it can. */
  readonly error: string;
}

/** What a monitor tells to whom. */
export interface MonitorOptions {
  readonly engine: ContainerEngine;
  readonly log: Log;
  /** The engine came or went. When it came, anything may have happened before. */
  readonly onStatus: (status: EngineStatus) => void;
  /** Something happened to this container. */
  readonly onContainer: (name: string) => void;
}

/** Listens to the engine, and tries to reach it again for as long as it cannot be reached. */
export class EngineMonitor {
  readonly #options: MonitorOptions;
  #status: EngineStatus = { name: 'docker', version: '', reachable: false, error: '' };

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  /** Watches until the signal says stop. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let delayMs = firstMs;
    while (!signal.aborted) {
      try {
        await this.#listen(signal, () => {
          delayMs = firstMs;
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#lost(error);
      }
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      delayMs = Math.min(delayMs * 2, longestMs);
    }
  }

  async #listen(signal: AbortSignal, onReached: () => void): Promise<void> {
    const { engine, log, onStatus, onContainer } = this.#options;
    const { name, version } = await engine.version(signal);
    const events = await engine.listen(signal);
    onReached();
    this.#status = { name, version, reachable: true, error: '' };
    log.info('container engine reached', { name, version });
    onStatus(this.#status);
    for await (const container of events) onContainer(container);
  }

  #lost(error: unknown): void {
    const { log, onStatus } = this.#options;
    const text = describeError(error);
    if (this.#status.reachable || this.#status.error === '') {
      log.warn('container engine not reachable', { error: text });
    }
    this.#status = { ...this.#status, reachable: false, error: text };
    onStatus(this.#status);
  }
}
