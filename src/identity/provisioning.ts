import type { Via } from '../dbus/client/via.ts';
import { describeError, ServiceError } from '../errors.ts';
import { quoted } from '../quoted.ts';
import { Backoff } from '../service/backoff.ts';
import type { Log } from '../service/log/log.ts';
import { NewerFile, refuseUnusable, UnusableFile } from '../service/state/state-file.ts';
import { CloudError } from './cloud/cloud.ts';
import type { DpsSettings } from './config/config.ts';
import { DueTimer } from './due-timer.ts';
import { differenceOf, provisionedFor } from './provisioners/provisioned-for.ts';
import type { Provisioner } from './provisioners/provisioner.ts';
import type { IdentityState, SavedDevice, SavedRefusal } from './state.ts';

/** The delays of provisioning after a failure, without a Retry-After of the cloud. */
export const provisioningBackoff = { minMs: 2500, firstMs: 5000, maxMs: 10 * 60_000 };
const maxRetryAfterMs = 60 * 60_000;
/** The longest wait: a `Backoff` waits up to a fifth longer than requested. */
const maxWaitMs = maxRetryAfterMs * 1.2;

/** The published state of provisioning. */
export interface ProvisioningStatus {
  readonly state: 'unprovisioned' | 'provisioning' | 'provisioned' | 'failed';
  readonly device: SavedDevice | undefined;
  readonly lastError: string;
  readonly nextAttempt: Date | undefined;
}

/** Dependencies and settings of the provisioning. */
export interface ProvisioningOptions {
  /** Undefined when the configuration has no provisioning. */
  readonly dps: DpsSettings | undefined;
  readonly provisioner: Provisioner | undefined;
  /** The registration id, by the settings or by the certificate that they name. */
  readonly registrationId: (via: Via) => Promise<string>;
  readonly state: IdentityState;
  /** Starts an operation that provisions the device, unless one is pending. */
  readonly begin: (what: { readonly again: boolean }) => void;
  readonly publish: (status: ProvisioningStatus) => void;
  readonly log: Log;
  readonly now: () => Date;
  /** From 0 to 1, for the back-off. */
  readonly random: () => number;
}

/** The state that was loaded from disk. */
interface Found {
  readonly device: SavedDevice | undefined;
  readonly refusal: SavedRefusal | undefined;
  /** Why the file of the device is unreadable, `` when it is readable. */
  readonly damage: string;
  /** The file may be intact: no message advises replacing it, and one of a newer version is never replaced. */
  readonly unusable?: UnusableFile | undefined;
}

/**
 * The device and its provisioning: one attempt at a time, which later callers join; the saved result stays until
 * there is a new one.
 *
 *   unprovisioned ─► provisioning ─► provisioned ─► provisioning (Reprovision) ─► …
 *                      │      ▲
 *                      ▼      │ back-off, or a call
 *                     failed ─┘
 *
 * A saved result for other settings stays until there is one for these. One that is unreadable is a failure that only
 * a Reprovision ends: it is never replaced automatically.
 */
export class Provisioning {
  readonly #options: ProvisioningOptions;
  #saved: SavedDevice | undefined;
  #damage: string;
  /** The differences between the settings of the saved result and the current ones, `` without any. */
  #difference = '';
  readonly #unusable: UnusableFile | undefined;
  #isAttempting = false;
  readonly #backoff: Backoff;
  #lastError = '';
  #nextAttempt: Date | undefined;
  /** The cloud's Retry-After, before which there is no automatic attempt. */
  #refusedUntil: Date | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #renewal: DueTimer;
  #retired = false;

  private constructor(options: ProvisioningOptions, { device, refusal, damage, unusable }: Found) {
    this.#options = options;
    this.#backoff = new Backoff(provisioningBackoff, options.random);
    this.#saved = device;
    this.#damage = damage;
    this.#unusable = unusable;
    this.#compare(options.dps?.registrationId);
    this.#lastError = damage === '' ? (refusal?.reason ?? '') : damage;
    if (refusal !== undefined) this.#refusedUntil = new Date(refusal.notBefore);
    this.#nextAttempt = this.#refusedUntil;
    this.#renewal = new DueTimer({
      due: () => (this.#nextAttempt === undefined ? this.#renewAt : undefined),
      begin: () => options.begin({ again: true }),
      now: options.now,
    });
  }

  /** Loads the saved device, also one for other settings. */
  static async load(options: ProvisioningOptions): Promise<Provisioning> {
    const { state, dps, log, now } = options;
    const wanted = provisionedFor(dps);
    try {
      const device = dps && (await state.device());
      const isCurrent = device && dps && differenceOf(device, dps, dps.registrationId) === '';
      const refused = isCurrent ? undefined : await loadRefusal(options);
      const holds = refused?.answerTo === wanted && isAhead(new Date(refused.notBefore), now());
      return new Provisioning(options, {
        device,
        refusal: holds ? refused : undefined,
        damage: '',
      });
    } catch (error) {
      const damage = describeError(error);
      log.error('saved device unreadable', { error: damage });
      const unusable = error instanceof UnusableFile ? error : undefined;
      return new Provisioning(options, { device: undefined, refusal: undefined, damage, unusable });
    }
  }

  /** Starts provisioning when it is needed, after a Retry-After if there is one. */
  start(): void {
    const { begin, provisioner } = this.#options;
    if (this.#retired || provisioner === undefined || this.#damage !== '') return;
    if (!this.#needsResult) {
      this.#renewal.check();
      return;
    }
    if (this.#nextAttempt !== undefined) this.#retryAt(this.#nextAttempt);
    else begin({ again: false });
  }

  /** Checks whether the certificate still names the provisioned device. Never rejects. */
  async check(via: Via): Promise<void> {
    const { log, provisioner, registrationId } = this.#options;
    if (provisioner === undefined || this.#saved === undefined) return;
    try {
      this.register(await registrationId(via));
    } catch (error) {
      log.debug('registration id unknown', { error: describeError(error) });
    }
  }

  /** Sets the registration id: a device that was provisioned with another one is provisioned again. */
  register(registrationId: string): void {
    const before = this.#difference;
    this.#compare(registrationId);
    if (this.#difference === before || this.#isAttempting) return;
    this.#publish();
    this.start();
  }

  /** The saved result; NotProvisioned when there is none, Unavailable when it is unreadable. */
  get saved(): SavedDevice {
    if (this.#saved !== undefined) return this.#saved;
    throw this.#unprovisioned();
  }

  /** Throws when there is no saved result. */
  assertProvisioned(): void {
    if (this.#saved === undefined) throw this.#unprovisioned();
  }

  /** The saved result; undefined when there is none. */
  get savedOrNone(): SavedDevice | undefined {
    return this.#saved;
  }

  /** The saved result, if it is for the current settings. */
  get current(): SavedDevice | undefined {
    return this.#needsResult ? undefined : this.#saved;
  }

  /** When the next attempt is due; undefined when there is none. */
  get due(): Date | undefined {
    return !this.#isAttempting ? (this.#nextAttempt ?? this.#renewAt) : this.#options.now();
  }

  get status(): ProvisioningStatus {
    return {
      state: this.#stateName(),
      device: this.#saved,
      lastError: [this.#misfit, this.#lastError].filter((text) => text !== '').join('; '),
      nextAttempt: this.#nextAttempt,
    };
  }

  /** Throws when no attempt is allowed: without `again` also before a Retry-After. */
  assertAllowed({ again }: { readonly again: boolean }): void {
    this.#provisioner();
    if (this.#unusable instanceof NewerFile) refuseUnusable(this.#unusable);
    if (again || this.current !== undefined) return;
    this.#assertReadable();
    this.#assertNotThrottled();
  }

  /** The saved result, else that of an attempt; with `again` always that of an attempt. One at a time. */
  async provision({ again }: { readonly again: boolean }, via: Via): Promise<SavedDevice> {
    this.assertAllowed({ again });
    const { current } = this;
    if (!again && current !== undefined) return current;
    clearTimeout(this.#retry);
    this.#nextAttempt = undefined;
    this.#refusedUntil = undefined;
    this.#isAttempting = true;
    this.#publish();
    return this.#run(this.#provisioner(), via);
  }

  /** Retries a failed attempt at once, as its cause may be resolved, but not before the cloud's Retry-After. */
  retry(): void {
    const isWaiting = this.#needsResult && !this.#isAttempting;
    if (!isWaiting || this.#options.provisioner === undefined || this.#damage !== '') return;
    if (this.#refusedUntil !== undefined && this.#refusedUntil > this.#options.now()) return;
    this.#options.begin({ again: false });
  }

  /** Detaches this device, which another one replaces: a pending attempt returns its result, but changes nothing. */
  retire(): void {
    this.#retired = true;
    this.stop();
  }

  /** Stops automatic attempts. */
  stop(): void {
    clearTimeout(this.#retry);
    this.#renewal.stop();
  }

  /** Whether there is no saved result, or one for another device. */
  get #needsResult(): boolean {
    return this.#saved === undefined || this.#difference !== '';
  }

  /** When the certificate that the provisioning service issued is due; one that it did not issue yet is at once. */
  get #renewAt(): Date | undefined {
    const { dps } = this.#options;
    if (this.#saved === undefined || dps?.issuance === undefined) return undefined;
    return new Date(this.#saved.renewAt ?? 0);
  }

  get #misfit(): string {
    if (this.#saved === undefined || this.#difference === '') return '';
    const { deviceId } = this.#saved;
    return `device ${quoted(deviceId)} was provisioned for ${this.#difference}, and is kept until it is provisioned again`;
  }

  #compare(registrationId: string | undefined): void {
    const { dps } = this.#options;
    const saved = this.#saved;
    this.#difference = saved && dps ? differenceOf(saved, dps, registrationId) : '';
  }

  #unprovisioned(): ServiceError {
    this.#assertReadable();
    const why = this.#lastError === '' ? '' : `: ${this.#lastError}`;
    return new ServiceError('NotProvisioned', `the device is not provisioned${why}`);
  }

  #provisioner(): Provisioner {
    const { provisioner } = this.#options;
    if (provisioner !== undefined) return provisioner;
    throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
  }

  async #run(provisioner: Provisioner, via: Via): Promise<SavedDevice> {
    try {
      const assignment = await provisioner.provision(via);
      const { dps, now, state } = this.#options;
      const saved: SavedDevice = {
        ...assignment,
        source: provisioner.source,
        answerTo: provisionedFor(dps),
        provisionedAt: now().toISOString(),
      };
      if (this.#retired) return saved;
      await state.saveDevice(saved);
      await this.#deleteRefusal();
      this.#succeed(saved, via);
      return saved;
    } catch (error) {
      throw await this.#fail(error, via);
    }
  }

  #succeed(saved: SavedDevice, { requestId }: Via): void {
    this.#saved = saved;
    this.#isAttempting = false;
    this.#backoff.reset();
    this.#difference = '';
    this.#lastError = '';
    this.#damage = '';
    const { deviceId, hubHostname } = saved;
    this.#options.log.info('device provisioned', { deviceId, hubHostname, requestId });
    this.#publish();
    this.#renewal.check();
  }

  async #fail(error: unknown, { requestId, signal }: Via): Promise<unknown> {
    const reason: unknown = signal.aborted ? signal.reason : error;
    if (this.#retired) return reason;
    const asked = error instanceof CloudError ? error.retryAfterMs : undefined;
    const now = this.#options.now();
    const waitMs = this.#backoff.failed(now, {
      retryAfterMs: Math.min(asked ?? 0, maxRetryAfterMs),
    });
    const next = new Date(now.getTime() + waitMs);
    const lastError = describeError(reason);
    if (asked !== undefined && !signal.aborted) {
      this.#refusedUntil = next;
      await this.#saveRefusal(lastError, next);
    }
    this.#isAttempting = false;
    this.#lastError = this.#damage === '' ? lastError : `${lastError}; ${this.#damage}`;
    if (!signal.aborted) this.#retryAt(next);
    this.#options.log.warn('provisioning failed', { reason: lastError, requestId });
    this.#publish();
    return reason;
  }

  #retryAt(time: Date): void {
    this.#nextAttempt = time;
    const waitMs = Math.max(0, time.getTime() - this.#options.now().getTime());
    this.#retry = setTimeout(() => {
      this.#nextAttempt = undefined;
      this.#refusedUntil = undefined;
      this.#options.begin({ again: !this.#needsResult || this.#damage !== '' });
    }, waitMs);
  }

  /** Saves a Retry-After of the cloud, so that a restart of the service does not shorten it. */
  async #saveRefusal(reason: string, notBefore: Date): Promise<void> {
    const { dps, state, log } = this.#options;
    if (dps === undefined || !this.#needsResult) return;
    const refusal = { reason, answerTo: provisionedFor(dps), notBefore: notBefore.toISOString() };
    try {
      await state.saveRefusal(refusal);
    } catch (error) {
      log.warn('provisioning refusal not saved', { error: describeError(error) });
    }
  }

  /** A leftover is harmless: it is read only when there is no result for the current settings. */
  async #deleteRefusal(): Promise<void> {
    const { state, log } = this.#options;
    try {
      await state.deleteRefusal();
    } catch (error) {
      log.warn('provisioning refusal not removed', { error: describeError(error) });
    }
  }

  #assertNotThrottled(): void {
    const until = this.#refusedUntil;
    if (until === undefined || until <= this.#options.now()) return;
    const when = `tried again at ${until.toISOString()}, by Reprovision at once`;
    throw new ServiceError('Unavailable', `${this.#lastError}; ${when}`);
  }

  #assertReadable(): void {
    if (this.#damage === '') return;
    refuseUnusable(this.#unusable);
    throw new ServiceError('Unavailable', `${this.#damage}; Reprovision replaces it`);
  }

  #stateName(): ProvisioningStatus['state'] {
    if (this.#isAttempting) return 'provisioning';
    if (this.#saved !== undefined) return 'provisioned';
    return this.#lastError === '' ? 'unprovisioned' : 'failed';
  }

  #publish(): void {
    if (!this.#retired) this.#options.publish(this.status);
  }
}

/** Whether a time is ahead, but not by more than a Retry-After, or a clock that is set back would delay attempts. */
function isAhead(time: Date, now: Date): boolean {
  const ms = time.getTime() - now.getTime();
  return ms > 0 && ms <= maxWaitMs;
}

/** Loads the Retry-After; an unreadable one is ignored. */
async function loadRefusal({ state, log }: ProvisioningOptions): Promise<SavedRefusal | undefined> {
  try {
    return await state.refusal();
  } catch (error) {
    log.warn('provisioning refusal unreadable', { error: describeError(error) });
    return undefined;
  }
}
