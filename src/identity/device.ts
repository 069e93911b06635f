import { describeError, isServiceError, ServiceError } from '../errors.ts';
import type { Log } from '../service/log.ts';
import { backoffMs } from './backoff.ts';
import { CloudError } from './cloud.ts';
import type { DpsSettings } from './config.ts';
import type { Provisioner } from './provisioner.ts';
import type { IdentityState, SavedDevice } from './state.ts';

/** What the bus is told about provisioning. */
export interface ProvisioningStatus {
  readonly state: 'unprovisioned' | 'provisioning' | 'provisioned' | 'failed';
  readonly device: SavedDevice | undefined;
  readonly lastError: string;
  readonly nextAttempt: Date | undefined;
}

/** What a device is made of. */
export interface DeviceOptions {
  /** Absent: there is nothing to provision with. */
  readonly dps: DpsSettings | undefined;
  readonly provisioner: Provisioner | undefined;
  readonly state: IdentityState;
  readonly publish: (status: ProvisioningStatus) => void;
  readonly log: Log;
  readonly now: () => Date;
}

interface Attempt {
  readonly outcome: Promise<SavedDevice>;
  readonly cancel: AbortController;
}

/**
 * The device and its provisioning: one attempt at a time, which later callers join; the saved result stays
 * until there is a new one.
 *
 *   unprovisioned ─► provisioning ─► provisioned ─► provisioning (Reprovision) ─► …
 *                      │      ▲
 *                      ▼      │ back-off, or a call
 *                     failed ─┘
 */
export class Device {
  readonly #options: DeviceOptions;
  #saved: SavedDevice | undefined;
  #attempt: Attempt | undefined;
  #failures = 0;
  #lastError = '';
  #nextAttempt: Date | undefined;
  #retry: NodeJS.Timeout | undefined;

  private constructor(options: DeviceOptions, saved: SavedDevice | undefined) {
    this.#options = options;
    this.#saved = saved;
  }

  /** The device as it was saved. A result for another scope is left alone, and not used. */
  static async load(options: DeviceOptions): Promise<Device> {
    const saved = await options.state.device();
    const current = saved?.scopeId === options.dps?.scopeId;
    return new Device(options, current ? saved : undefined);
  }

  /** Begins provisioning when the device should be provisioned and is not. */
  start(): void {
    if (this.#saved === undefined && this.#options.provisioner !== undefined) {
      this.provision({ again: false }).catch(() => undefined); // told by the status
    }
  }

  /** The saved result; NotProvisioned when there is none. */
  get saved(): SavedDevice {
    if (this.#saved !== undefined) return this.#saved;
    const why = this.#lastError === '' ? '' : `: ${this.#lastError}`;
    throw new ServiceError('NotProvisioned', `the device is not provisioned${why}`);
  }

  /** When something is due; undefined when nothing is. */
  get due(): Date | undefined {
    return this.#attempt === undefined ? this.#nextAttempt : this.#options.now();
  }

  get status(): ProvisioningStatus {
    return {
      state: this.#stateName(),
      device: this.#saved,
      lastError: this.#lastError,
      nextAttempt: this.#nextAttempt,
    };
  }

  /** The saved result, else the outcome of an attempt; with `again` always the latter. */
  async provision({ again }: { readonly again: boolean }): Promise<SavedDevice> {
    if (this.#options.provisioner === undefined) {
      throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
    }
    if (this.#attempt === undefined && this.#saved !== undefined && !again) return this.#saved;
    this.#attempt ??= this.#begin(this.#options.provisioner);
    return this.#attempt.outcome;
  }

  /** Ends the attempt under way: whoever waits for it gets Cancelled. NotFound when there is none. */
  cancel(): void {
    if (this.#attempt === undefined) {
      throw new ServiceError('NotFound', 'no provisioning is under way');
    }
    this.#attempt.cancel.abort(new ServiceError('Cancelled', 'provisioning was cancelled'));
  }

  /** Stops trying, for the end of the process. */
  stop(): void {
    clearTimeout(this.#retry);
    this.#attempt?.cancel.abort(new ServiceError('Unavailable', 'the service is stopping'));
  }

  #begin(provisioner: Provisioner): Attempt {
    clearTimeout(this.#retry);
    this.#nextAttempt = undefined;
    const cancel = new AbortController();
    const outcome = this.#run(provisioner, cancel.signal);
    outcome.catch(() => undefined); // callers that did not wait; the status tells
    queueMicrotask(() => this.#publish());
    return { outcome, cancel };
  }

  async #run(provisioner: Provisioner, signal: AbortSignal): Promise<SavedDevice> {
    try {
      const assignment = await provisioner.provision(signal);
      const saved: SavedDevice = {
        ...assignment,
        source: provisioner.source,
        scopeId: this.#options.dps?.scopeId ?? '',
        provisionedAt: this.#options.now().toISOString(),
      };
      await this.#options.state.saveDevice(saved);
      this.#succeed(saved);
      return saved;
    } catch (error) {
      throw this.#fail(error, signal);
    }
  }

  #succeed(saved: SavedDevice): void {
    this.#saved = saved;
    this.#attempt = undefined;
    this.#failures = 0;
    this.#lastError = '';
    const { deviceId, hubHostname } = saved;
    this.#options.log.info('device provisioned', { deviceId, hubHostname });
    this.#publish();
  }

  #fail(error: unknown, signal: AbortSignal): unknown {
    this.#attempt = undefined;
    const reason: unknown = signal.aborted ? signal.reason : error;
    this.#lastError = describeError(reason);
    if (!isServiceError(reason, 'Cancelled') && !signal.aborted) this.#scheduleRetry(error);
    this.#options.log.warn('provisioning failed', { reason: this.#lastError });
    this.#publish();
    return reason;
  }

  #scheduleRetry(error: unknown): void {
    this.#failures++;
    const asked = error instanceof CloudError ? error.retryAfterMs : undefined;
    const delayMs = backoffMs(this.#failures, asked);
    this.#nextAttempt = new Date(this.#options.now().getTime() + delayMs);
    this.#retry = setTimeout(() => {
      this.provision({ again: true }).catch(() => undefined); // told by the status
    }, delayMs);
  }

  #stateName(): ProvisioningStatus['state'] {
    if (this.#attempt !== undefined) return 'provisioning';
    if (this.#saved !== undefined) return 'provisioned';
    return this.#lastError === '' ? 'unprovisioned' : 'failed';
  }

  #publish(): void {
    this.#options.publish(this.status);
  }
}
