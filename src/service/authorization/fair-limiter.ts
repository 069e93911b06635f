import { ServiceError } from '../../errors.ts';

/** How many actions run concurrently; those that wait for a user's input get only some of the slots. */
export interface FairLimits {
  readonly perUid: number;
  readonly total: number;
  readonly slowPerUid: number;
  readonly slowTotal: number;
}

/** The uid that an action is for, and whether it may take minutes because a user is prompted. */
export interface LimiterRequest {
  readonly uid: number;
  readonly slow: boolean;
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly slow: boolean;
  readonly start: () => void;
}

interface Usage {
  running: number;
  slow: number;
  readonly waiting: Set<Waiting>;
}

/** Two at a time per uid, eight in all; one of the two and half of the eight may wait for a user's input. */
export const checkLimits: FairLimits = { perUid: 2, total: 8, slowPerUid: 1, slowTotal: 4 };

/** Limits concurrent actions and serves uids round-robin, so that a uid with a long queue does not delay the others. */
export class FairLimiter {
  readonly #limits: FairLimits;
  /** In round-robin order. */
  readonly #uids = new Map<number, Usage>();
  #running = 0;
  #slow = 0;

  constructor(limits: FairLimits) {
    this.#limits = limits;
  }

  /** Runs the action as soon as the limits allow it; rejects with Cancelled when the signal aborts first. */
  async run<T>(request: LimiterRequest, action: () => Promise<T>): Promise<T> {
    await this.#wait(request);
    try {
      return await action();
    } finally {
      this.#leave(request);
    }
  }

  #wait({ uid, slow, signal }: LimiterRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const usage = this.#usageOf(uid);
      const abort = (): void => {
        usage.waiting.delete(waiting);
        this.#removeIdle(uid, usage);
        reject(new ServiceError('Cancelled', 'the caller left before it was asked about'));
      };
      const start = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const waiting: Waiting = { slow, start };
      usage.waiting.add(waiting);
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#startAll();
    });
  }

  #leave({ uid, slow }: LimiterRequest): void {
    const usage = this.#usageOf(uid);
    usage.running--;
    this.#running--;
    if (slow) {
      usage.slow--;
      this.#slow--;
    }
    this.#removeIdle(uid, usage);
    this.#startAll();
  }

  #startAll(): void {
    while (this.#running < this.#limits.total) {
      if (!this.#startOne()) return;
    }
  }

  #startOne(): boolean {
    for (const [uid, usage] of this.#uids) {
      const next = this.#nextOf(usage);
      if (next === undefined) continue;
      usage.waiting.delete(next);
      usage.running++;
      this.#running++;
      if (next.slow) {
        usage.slow++;
        this.#slow++;
      }
      this.#uids.delete(uid);
      this.#uids.set(uid, usage);
      next.start();
      return true;
    }
    return false;
  }

  #nextOf(usage: Usage): Waiting | undefined {
    if (usage.running >= this.#limits.perUid) return undefined;
    const slowAllowed = usage.slow < this.#limits.slowPerUid && this.#slow < this.#limits.slowTotal;
    for (const waiting of usage.waiting) {
      if (slowAllowed || !waiting.slow) return waiting;
    }
    return undefined;
  }

  #usageOf(uid: number): Usage {
    let usage = this.#uids.get(uid);
    if (usage === undefined) {
      usage = { running: 0, slow: 0, waiting: new Set() };
      this.#uids.set(uid, usage);
    }
    return usage;
  }

  #removeIdle(uid: number, usage: Usage): void {
    if (usage.running === 0 && usage.waiting.size === 0) this.#uids.delete(uid);
  }
}
