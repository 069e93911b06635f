import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, ServiceError } from '../../errors.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import type { Log } from '../../service/log/log.ts';
import type { ContainerEngine } from '../docker/engine.ts';
import { Reach } from './reach.ts';

/** Observed state of the engine. */
export interface EngineStatus {
  readonly name: string;
  readonly version: string;
  readonly reachable: boolean;
  /** Whether the last connection lasted, so that a reconnection resets backoffs. */
  readonly steady: boolean;
  /** When it was reached last: containers that had ended by then may have ended with it. */
  readonly reachedAt: Date | undefined;
  /** Why it is unreachable, `` when it is reachable. */
  readonly error: string;
}

/** Dependencies and listeners of a monitor. */
export interface MonitorOptions {
  readonly engine: ContainerEngine;
  readonly log: Log;
  readonly now: () => Date;
  /** The engine became reachable or unreachable; events in between are lost. */
  readonly onStatus: (status: EngineStatus) => void;
  /** The engine reported an event of this container. */
  readonly onContainer: (name: string) => void;
}

/** Listens to the events of the engine, and reconnects with backoff while it is unreachable. */
export class EngineMonitor {
  readonly #options: MonitorOptions;
  readonly #reach = new Reach();
  #round = new AbortController();
  #status: EngineStatus = {
    name: 'docker',
    version: '',
    reachable: false,
    steady: true,
    reachedAt: undefined,
    error: '',
  };

  readonly #known: Promise<void>;
  readonly #settleKnown: () => void;

  constructor(options: MonitorOptions) {
    this.#options = options;
    let settle = (): void => undefined;
    this.#known = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settleKnown = settle;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  /** Resolves when it is first known whether the engine is reachable. */
  get known(): Promise<void> {
    return this.#known;
  }

  /** Watches until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { now } = this.#options;
    while (!signal.aborted) {
      const before = this.#status.reachedAt;
      this.#round = new AbortController();
      using joined = new JoinedSignal([signal, this.#round.signal]);
      const round = joined.signal;
      try {
        await this.#listen(round);
      } catch (error) {
        if (signal.aborted) return;
        if (round.aborted) continue;
        this.#lost(error);
      }
      const { reachedAt } = this.#status;
      const isNew = reachedAt !== undefined && reachedAt !== before;
      const delayMs = this.#reach.lost(isNew ? now().getTime() - reachedAt.getTime() : undefined);
      await sleep(delayMs, undefined, { signal: round, ref: false }).catch(() => undefined);
    }
  }

  /** Connects to the engine anew: the configuration names another one now. */
  reconnect(): void {
    this.#round.abort();
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const { engine, log, now, onStatus, onContainer } = this.#options;
    const { name, version } = await engine.version(signal);
    const events = await engine.listen(signal);
    const steady = this.#reach.isSteady;
    this.#status = { name, version, reachable: true, steady, reachedAt: now(), error: '' };
    log.info('container engine reachable', { name, version });
    onStatus(this.#status);
    this.#settleKnown();
    for await (const container of events) onContainer(container);
  }

  #lost(error: unknown): void {
    const { log, onStatus } = this.#options;
    const text = describeError(error);
    if (this.#status.reachable || this.#status.error === '') {
      log.warn('container engine unreachable', { error: text });
    }
    this.#status = { ...this.#status, reachable: false, error: text };
    onStatus(this.#status);
    this.#settleKnown();
  }
}

/** Throws Unavailable while the engine is known to be unreachable. */
export function refuseUnreachable({ error }: EngineStatus): void {
  if (error !== '') throw new ServiceError('Unavailable', error);
}
