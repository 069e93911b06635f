import { setTimeout as sleep } from 'node:timers/promises';
import type { Via } from '../../../dbus/client/via.ts';
import { HttpProblem } from './failure.ts';
import type { RequestQueue } from './request-queue.ts';

/** Limits on the time, number and size of the held requests of a module. */
export interface HoldLimits {
  readonly ms: number;
  readonly most: number;
  readonly bytes: number;
}

/**
 * An SDK that fails to sign once, when it renews its token, may never retry: it must not notice the restart of a
 * service. `most` is below the limit on connections of a module, so that its other requests are served meanwhile.
 */
export const holdLimits: HoldLimits = { ms: 30_000, most: 96, bytes: 8 << 20 };

/** A request that may wait for a service. */
export interface Hold {
  /** The time that the request may still be held, zero or less when it has expired. */
  leftMs(): number;
  /**
   * Waits, at most until the time limit; other requests use its place in the queue meanwhile. Rejects with HttpProblem
   * when too many are held, and with an AbortError when the client disconnects.
   */
  wait(ms: number): Promise<void>;
}

/** A call on behalf of a request that may wait for a service. */
export interface HeldCall extends Via {
  readonly hold: Hold;
}

/** The cost of holding a request, and the queue that it leaves meanwhile. */
interface HeldRequest {
  /** Size of its body. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly queue: RequestQueue;
}

/** The held requests of a module; each occupies its body and a connection. */
export class Holds {
  readonly #limits: HoldLimits;
  #held = 0;
  #bytes = 0;

  constructor(limits: HoldLimits = holdLimits) {
    this.#limits = limits;
  }

  /** Starts the time limit of a request. */
  of(request: HeldRequest): Hold {
    const until = performance.now() + this.#limits.ms;
    const leftMs = (): number => until - performance.now();
    return {
      leftMs,
      wait: (ms) => this.#waitUntil(Math.min(performance.now() + ms, until), request),
    };
  }

  async #waitUntil(time: number, { bytes, signal, queue }: HeldRequest): Promise<void> {
    const { most, bytes: maxBytes } = this.#limits;
    if (this.#held >= most || this.#bytes + bytes > maxBytes) {
      throw new HttpProblem(503, 'too many requests wait for a service that cannot be reached');
    }
    this.#held++;
    this.#bytes += bytes;
    try {
      await queue.pause(() => sleepUntil(time, signal));
    } finally {
      this.#held--;
      this.#bytes -= bytes;
    }
  }
}

/** One timer of Node may end up to two milliseconds earlier: it counts whole ones. */
async function sleepUntil(time: number, signal: AbortSignal): Promise<void> {
  do await sleep(Math.max(0, time - performance.now()), undefined, { signal });
  while (performance.now() < time);
}
