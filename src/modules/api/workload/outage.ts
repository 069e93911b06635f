import { BusError } from '../../../dbus/bus.ts';
import type { Via } from '../../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import type { HeldCall, Hold } from '../http/hold.ts';

// systemd allows a unit five starts in ten seconds
const firstDelayMs = 500;
const maxDelayMs = 4_000;

/** Options of one call of the service; the timeout is short when little of the request's time is left. */
export interface AttemptOptions extends Via {
  readonly timeoutMs?: number;
}

/**
 * A service that modules' requests depend on. While it cannot be reached or started, requests are held and retried, all
 * at the same times, so that neither their number nor new ones start the service more often.
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

  /** Resolves with the result of a call; rejects with its last failure once the request has reached its time limit. */
  async call<T>(
    { hold, requestId, signal }: HeldCall,
    attempt: (options: AttemptOptions) => Promise<T>,
  ): Promise<T> {
    let failure: Error | undefined;
    for (let failures = 0; ; failures++) {
      await this.#waitForAttempt(hold, failure);
      // the first attempt has the default timeout: an authority may be slow to issue
      const timeoutMs = failures === 0 ? {} : { timeoutMs: Math.max(1_000, hold.leftMs()) };
      try {
        const result = await attempt({ requestId, signal, ...timeoutMs });
        this.#onReachable();
        return result;
      } catch (error) {
        failure = error instanceof Error ? error : new TypeError('no error was thrown');
      }
      if (signal.aborted) throw failure;
      const unreachable = isUnreachable(failure);
      if (unreachable) this.#onUnreachable(failure);
      else this.#onReachable();
      if (unreachable) failure = this.#unavailable(failure);
      if (hold.leftMs() <= 0 || !isTemporary(failure)) throw failure;
      if (!unreachable) await hold.wait(delayAfter(failures));
    }
  }

  /** Waits until the next attempt is due. */
  async #waitForAttempt(hold: Hold, failure: Error | undefined): Promise<void> {
    for (;;) {
      const waitMs = this.#since === undefined ? 0 : this.#nextAt - performance.now();
      if (waitMs <= 0 && (failure === undefined || hold.leftMs() > 0)) return;
      if (hold.leftMs() <= 0) throw failure ?? this.#unavailable();
      await hold.wait(waitMs);
    }
  }

  #onUnreachable(error: unknown): void {
    const now = performance.now();
    if (this.#since === undefined) {
      this.#since = now;
      const fields = { service: this.#service, error: describeError(error) };
      this.#log.error('service unreachable, module requests are waiting', fields);
    } else if (now < this.#nextAt) return; // one of several attempts at the same time
    this.#delayMs = this.#delayMs === 0 ? firstDelayMs : Math.min(2 * this.#delayMs, maxDelayMs);
    this.#nextAt = now + this.#delayMs;
  }

  #onReachable(): void {
    if (this.#since === undefined) return;
    const afterMs = Math.round(performance.now() - this.#since);
    this.#log.info('service reachable again', { service: this.#service, afterMs });
    this.#since = undefined;
    this.#delayMs = 0;
  }

  /** Adds the name of the service, which errors of the bus lack. */
  #unavailable(cause?: Error): ServiceError {
    const why = cause === undefined ? '' : `: ${cause.message}`;
    const text = `the ${this.#service} service cannot be reached${why}`;
    return new ServiceError('Unavailable', text, { cause });
  }
}

function delayAfter(failures: number): number {
  return Math.min(firstDelayMs * 2 ** Math.min(failures, 10), maxDelayMs);
}

/** Whether the error is of the bus, not the service: the name has no owner, a failed start, an exit, a timeout. */
export function isUnreachable(error: unknown): boolean {
  return isServiceError(error, 'Unavailable') && error.cause instanceof BusError;
}

/** Whether a retry may succeed: failures of the bus, and of services because of tokens, the cloud or their own stop. */
function isTemporary(error: unknown): boolean {
  return (
    isServiceError(error, 'Unavailable') ||
    isServiceError(error, 'LimitsExceeded') ||
    isServiceError(error, 'Cancelled') ||
    isServiceError(error, 'NotProvisioned')
  );
}
