import { BusError } from '../../dbus/bus.ts';
import type { Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { HeldCall, Hold } from './hold.ts';

// Five starts in ten seconds are what systemd allows a unit.
const firstMs = 500;
const longestMs = 4_000;

/** How a service is called: the time is short where little of the request's is left. */
export interface AttemptOptions extends Via {
  readonly timeoutMs?: number;
}

/**
 * A service that modules' requests depend on. While it cannot be reached or started, requests are held and it is asked
 * again, by all of them at the same times, so that neither their number nor new ones start it more often.
 */
export class Outage {
  readonly #service: string;
  readonly #log: Log;
  #since: number | undefined;
  #delayMs = 0;
  #nextAt = 0;

  constructor(service: string, log: Log) {
    this.#service = service;
    this.#log = log;
  }

  /** The result of a call; its last failure when the request has been held for as long as it may be. */
  async call<T>(
    { hold, requestId, signal }: HeldCall,
    attempt: (options: AttemptOptions) => Promise<T>,
  ): Promise<T> {
    let failure: Error | undefined;
    for (let failures = 0; ; failures++) {
      await this.#untilAsked(hold, failure);
      // a first one takes its own time: an authority may be slow to issue
      const timeoutMs = failures === 0 ? {} : { timeoutMs: Math.max(1_000, hold.leftMs()) };
      try {
        const result = await attempt({ requestId, signal, ...timeoutMs });
        this.#reached();
        return result;
      } catch (error) {
        failure = error instanceof Error ? error : new TypeError('no error was thrown');
      }
      if (signal.aborted) throw failure;
      const isAway = isUnreachable(failure);
      if (isAway) this.#lose(failure);
      else this.#reached();
      if (isAway) failure = this.#unavailable(failure);
      if (hold.leftMs() <= 0 || !isTemporary(failure)) throw failure;
      if (!isAway) await hold.wait(delayAfter(failures));
    }
  }

  /** Waits while nobody is to ask the service. */
  async #untilAsked(hold: Hold, failure: Error | undefined): Promise<void> {
    for (;;) {
      const waitMs = this.#since === undefined ? 0 : this.#nextAt - performance.now();
      if (waitMs <= 0 && (failure === undefined || hold.leftMs() > 0)) return;
      if (hold.leftMs() <= 0) throw failure ?? this.#unavailable();
      await hold.wait(waitMs);
    }
  }

  #lose(error: unknown): void {
    const now = performance.now();
    if (this.#since === undefined) {
      this.#since = now;
      const fields = { service: this.#service, error: describeError(error) };
      this.#log.error('service unreachable, module requests are waiting', fields);
    } else if (now < this.#nextAt) return; // one of several that asked together
    this.#delayMs = this.#delayMs === 0 ? firstMs : Math.min(2 * this.#delayMs, longestMs);
    this.#nextAt = now + this.#delayMs;
  }

  #reached(): void {
    if (this.#since === undefined) return;
    const afterMs = Math.round(performance.now() - this.#since);
    this.#log.info('service reachable again', { service: this.#service, afterMs });
    this.#since = undefined;
    this.#delayMs = 0;
  }

  /** The bus names no service in what it says of it. */
  #unavailable(cause?: Error): ServiceError {
    const why = cause === undefined ? '' : `: ${cause.message}`;
    const text = `the ${this.#service} service cannot be reached${why}`;
    return new ServiceError('Unavailable', text, { cause });
  }
}

function delayAfter(failures: number): number {
  return Math.min(firstMs * 2 ** Math.min(failures, 10), longestMs);
}

/** Whether the bus said it, not the service: nobody has the name, it cannot be started, it ended, it is silent. */
function isUnreachable(error: unknown): boolean {
  return isServiceError(error, 'Unavailable') && error.cause instanceof BusError;
}

/** Failures that pass by themselves: of the bus, and what services say of tokens, other services, the cloud and their own end. */
function isTemporary(error: unknown): boolean {
  return (
    isServiceError(error, 'Unavailable') ||
    isServiceError(error, 'LimitsExceeded') ||
    isServiceError(error, 'Cancelled') ||
    isServiceError(error, 'NotProvisioned')
  );
}
