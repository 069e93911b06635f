import { setTimeout as sleep } from 'node:timers/promises';
import type { Via } from '../../dbus/client/via.ts';
import { HttpProblem } from './http/failure.ts';
import type { RequestQueue } from './request-queue.ts';

/** How long a request is held, and how many of a module are at once. */
export interface HoldLimits {
  readonly ms: number;
  readonly most: number;
  readonly bytes: number;
}

/**
 * An SDK that fails to sign once, when it renews its token, may never retry: a service that only restarts must not be
 * noticed. Fewer than a module has connections, so that its other requests are served meanwhile.
 */
export const holdLimits: HoldLimits = { ms: 30_000, most: 96, bytes: 8 << 20 };

/** A request that may wait for a service to come back. */
export interface Hold {
  /** Until when the request is held, in milliseconds from now; not above zero once that is over. */
  leftMs(): number;
  /**
   * Waits, at most until the request has been held long enough; other requests have its place meanwhile. Rejects with
   * HttpProblem when too many are held, and with an AbortError when the client leaves.
   */
  wait(ms: number): Promise<void>;
}

/** A call on behalf of a request that may wait for a service to come back. */
export interface HeldCall extends Via {
  readonly hold: Hold;
}

/** What it costs to hold a request, and the queue that has its place meanwhile. */
interface HeldRequest {
  /** Of its body. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly queue: RequestQueue;
}

/** The held requests of a module: each costs its body and a connection, for an unknown time. */
export class Holds {
  readonly #limits: HoldLimits;
  #held = 0;
  #bytes = 0;

  constructor(limits: HoldLimits = holdLimits) {
    this.#limits = limits;
  }

  /** The hold of a request that begins now. */
  of(request: HeldRequest): Hold {
    const until = performance.now() + this.#limits.ms;
    const leftMs = (): number => until - performance.now();
    return {
      leftMs,
      wait: (ms) => this.#wait(Math.max(0, Math.min(ms, leftMs())), request),
    };
  }

  async #wait(ms: number, { bytes, signal, queue }: HeldRequest): Promise<void> {
    const { most, bytes: mostBytes } = this.#limits;
    if (this.#held >= most || this.#bytes + bytes > mostBytes) {
      throw new HttpProblem(503, 'too many requests wait for a service that cannot be reached');
    }
    this.#held++;
    this.#bytes += bytes;
    try {
      await queue.pause(() => sleep(ms, undefined, { signal }));
    } finally {
      this.#held--;
      this.#bytes -= bytes;
    }
  }
}
