import { randomInt } from 'node:crypto';
import { type CloudResponse, HubRefusal } from './exchange.ts';

/** The rate limit of a hub: a token bucket. */
export interface ThrottleOptions {
  readonly burst: number;
  readonly perSecond: number;
}

/** A unit of a small hub accepts a hundred requests to its registry per minute, and larger bursts. */
export const smallHub: ThrottleOptions = { burst: 200, perSecond: 100 / 60 };

/** Refuses requests above a rate limit, as the services do. */
export class Throttle {
  readonly #options: ThrottleOptions;
  #tokens: number;
  #filledAt = performance.now();

  constructor(options: ThrottleOptions) {
    this.#options = options;
    this.#tokens = options.burst;
  }

  /** Undefined for an accepted request; a refused one is to be retried in 2 to 5 s. */
  refusal(): CloudResponse | undefined {
    const now = performance.now();
    const { burst, perSecond } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * perSecond);
    this.#filledAt = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return undefined;
    }
    const { response } = new HubRefusal(
      429,
      'ThrottlingException',
      'Operation was throttled',
      429001,
    );
    const headers = { ...response.headers, 'retry-after': String(randomInt(2, 6)) };
    return { ...response, headers };
  }
}
