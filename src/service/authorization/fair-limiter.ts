import { ServiceError } from '../../errors.ts';

/** What may run at the same time. Those that wait for a person get only some of the places. */
export interface TurnLimits {
  readonly perUid: number;
  readonly inAll: number;
  readonly slowPerUid: number;
  readonly slowInAll: number;
}

/** Whose turn it is, and whether it may take minutes because a person is asked. */
export interface TurnRequest {
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

/** Two at a time for a uid, eight in all; one of the two and half of the eight may wait for a person. */
export const questionLimits: TurnLimits = { perUid: 2, inAll: 8, slowPerUid: 1, slowInAll: 4 };

/** Lets actions run in turns, uid by uid, so that nobody's many wait before another's one. */
export class Turns {
  readonly #limits: TurnLimits;
  /** In the order in which uids come next. */
  readonly #uids = new Map<number, Usage>();
  #running = 0;
  #slow = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Runs the action when it is its turn; Cancelled when the signal aborts before. */
  async run<T>(request: TurnRequest, action: () => Promise<T>): Promise<T> {
    await this.#wait(request);
    try {
      return await action();
    } finally {
      this.#leave(request);
    }
  }

  #wait({ uid, slow, signal }: TurnRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const usage = this.#usageOf(uid);
      const abort = (): void => {
        usage.waiting.delete(waiting);
        this.#forgetIdle(uid, usage);
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

  #leave({ uid, slow }: TurnRequest): void {
    const usage = this.#usageOf(uid);
    usage.running--;
    this.#running--;
    if (slow) {
      usage.slow--;
      this.#slow--;
    }
    this.#forgetIdle(uid, usage);
    this.#startAll();
  }

  #startAll(): void {
    while (this.#running < this.#limits.inAll) {
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
    const slowAllowed = usage.slow < this.#limits.slowPerUid && this.#slow < this.#limits.slowInAll;
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

  #forgetIdle(uid: number, usage: Usage): void {
    if (usage.running === 0 && usage.waiting.size === 0) this.#uids.delete(uid);
  }
}
