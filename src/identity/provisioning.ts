import type { Via } from '../dbus/client/via.ts';
import { describeError, ServiceError } from '../errors.ts';
import { quoted } from '../quoted.ts';
import { Backoff } from '../service/backoff.ts';
import type { Log } from '../service/log/log.ts';
import { NewerFile, refuseUnusable, UnusableFile } from '../service/state/state-file.ts';
import { CloudError } from './cloud/cloud.ts';
import type { DpsSettings } from './config/config.ts';
import { answerTo, differenceOf } from './provisioners/provisioned-for.ts';
import type { Provisioner } from './provisioners/provisioner.ts';
import type { IdentityState, SavedDevice, SavedRefusal } from './state.ts';

/** How long provisioning waits after a failure, when the cloud asks for nothing. */
export const provisioningBackoff = { leastMs: 2500, firstMs: 5000, maxMs: 10 * 60_000 };
const maxAskedMs = 60 * 60_000;
/** No wait is longer: a `Backoff` waits up to a fifth more than it was asked for. */
const maxWaitMs = maxAskedMs * 1.2;

/** The state of provisioning, as it is published on the bus. */
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
  /** The id that the settings, or the certificate that they name, have the device register with. */
  readonly registrationId: (via: Via) => Promise<string>;
  readonly state: IdentityState;
  /** Begins an operation that provisions the device, unless one is in progress. */
  readonly begin: (what: { readonly again: boolean }) => void;
  readonly publish: (status: ProvisioningStatus) => void;
  readonly log: Log;
  readonly now: () => Date;
  /** From 0 to 1, for the back-off. */
  readonly random: () => number;
}

/** What was found on the disk. */
interface Found {
  readonly device: SavedDevice | undefined;
  readonly refusal: SavedRefusal | undefined;
  /** Why the file of the device cannot be read, `` when it can. */
  readonly damage: string;
  /** The file may be intact: no message advises replacing it, and one of a newer version is never replaced. */
  readonly unusable?: UnusableFile | undefined;
}

/**
 * The device and its provisioning: one attempt at a time, which later callers join; the saved result stays
 * until there is a new one.
 *
 *   unprovisioned ─► provisioning ─► provisioned ─► provisioning (Reprovision) ─► …
 *                      │      ▲
 *                      ▼      │ back-off, or a call
 *                     failed ─┘
 *
 * A saved result for other settings stays until there is one for these. One that cannot be read is a failure that only
 * a Reprovision ends: nothing replaces it by itself.
 */
export class Device {
  readonly #options: DeviceOptions;
  #saved: SavedDevice | undefined;
  #damage: string;
  /** In what the saved result is about another device than the settings, `` when it is not. */
  #difference = '';
  readonly #unusable: UnusableFile | undefined;
  #isAttempting = false;
  readonly #backoff: Backoff;
  #lastError = '';
  #nextAttempt: Date | undefined;
  /** The cloud's Retry-After: no attempt is made by itself before it. */
  #refusedUntil: Date | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retired = false;

  private constructor(options: DeviceOptions, { device, refusal, damage, unusable }: Found) {
    this.#options = options;
    this.#backoff = new Backoff(provisioningBackoff, options.random);
    this.#saved = device;
    this.#damage = damage;
    this.#unusable = unusable;
    this.#compare(options.dps?.registrationId);
    this.#lastError = damage === '' ? (refusal?.reason ?? '') : damage;
    if (refusal !== undefined) this.#refusedUntil = new Date(refusal.notBefore);
    this.#nextAttempt = this.#refusedUntil;
  }

  /** The device as it was saved, also for other settings: it stays until there is another one. */
  static async load(options: DeviceOptions): Promise<Device> {
    const { state, dps, log, now } = options;
    const wanted = answerTo(dps);
    try {
      const device = dps && (await state.device());
      const isCurrent = device && dps && differenceOf(device, dps, dps.registrationId) === '';
      const refused = isCurrent ? undefined : await loadRefusal(options);
      const holds = refused?.answerTo === wanted && isAhead(new Date(refused.notBefore), now());
      return new Device(options, { device, refusal: holds ? refused : undefined, damage: '' });
    } catch (error) {
      const damage = describeError(error);
      log.error('saved device unreadable', { error: damage });
      const unusable = error instanceof UnusableFile ? error : undefined;
      return new Device(options, { device: undefined, refusal: undefined, damage, unusable });
    }
  }

  /** Begins provisioning when the device should be provisioned and is not, or waits until it may. */
  start(): void {
    const { begin, provisioner } = this.#options;
    if (this.#retired || provisioner === undefined || !this.#isWanting || this.#damage !== '') {
      return;
    }
    if (this.#nextAttempt !== undefined) this.#retryAt(this.#nextAttempt);
    else begin({ again: false });
  }

  /** Finds out whether the certificate still names the device that was provisioned. Never rejects. */
  async check(via: Via): Promise<void> {
    const { log, provisioner, registrationId } = this.#options;
    if (provisioner === undefined || this.#saved === undefined) return;
    try {
      this.register(await registrationId(via));
    } catch (error) {
      log.debug('registration id unknown', { error: describeError(error) });
    }
  }

  /** The registration id is this: a device that was provisioned with another one is provisioned again. */
  register(registrationId: string): void {
    const before = this.#difference;
    this.#compare(registrationId);
    if (this.#difference === before || this.#isAttempting) return;
    this.#publish();
    this.start();
  }

  /** The saved result; NotProvisioned when there is none, Unavailable when it cannot be read. */
  get saved(): SavedDevice {
    if (this.#saved !== undefined) return this.#saved;
    throw this.#unprovisioned();
  }

  /** Throws when there is no saved result. */
  refuseUnprovisioned(): void {
    if (this.#saved === undefined) throw this.#unprovisioned();
  }

  /** The saved result, undefined when there is none. */
  get savedOrNone(): SavedDevice | undefined {
    return this.#saved;
  }

  /** The saved result, when there is one and it is for these settings. */
  get current(): SavedDevice | undefined {
    return this.#isWanting ? undefined : this.#saved;
  }

  /** When something is due; undefined when nothing is. */
  get due(): Date | undefined {
    return !this.#isAttempting ? this.#nextAttempt : this.#options.now();
  }

  get status(): ProvisioningStatus {
    return {
      state: this.#stateName(),
      device: this.#saved,
      lastError: [this.#misfit, this.#lastError].filter((text) => text !== '').join('; '),
      nextAttempt: this.#nextAttempt,
    };
  }

  /** Throws when an attempt would not be made: unless it is asked for `again`, also when it is too early. */
  refuse({ again }: { readonly again: boolean }): void {
    this.#provisioner();
    if (this.#unusable instanceof NewerFile) refuseUnusable(this.#unusable);
    if (again || this.current !== undefined) return;
    this.#refuseDamaged();
    this.#refuseEarly();
  }

  /** The saved result, else the outcome of an attempt; with `again` always that of an attempt. One at a time. */
  async provision({ again }: { readonly again: boolean }, via: Via): Promise<SavedDevice> {
    this.refuse({ again });
    const { current } = this;
    if (!again && current !== undefined) return current;
    clearTimeout(this.#retry);
    this.#nextAttempt = undefined;
    this.#refusedUntil = undefined;
    this.#isAttempting = true;
    this.#publish();
    return await this.#run(this.#provisioner(), via);
  }

  /** Retries at once what failed, as its cause may have gone, but not before the cloud's Retry-After. */
  retry(): void {
    const isWaiting = this.#isWanting && !this.#isAttempting;
    if (!isWaiting || this.#options.provisioner === undefined || this.#damage !== '') return;
    if (this.#refusedUntil !== undefined && this.#refusedUntil > this.#options.now()) return;
    this.#options.begin({ again: false });
  }

  /** Another device replaces this one: a pending attempt still returns its result, and changes nothing. */
  retire(): void {
    this.#retired = true;
    clearTimeout(this.#retry);
  }

  /** Stops trying, for the end of the process. */
  stop(): void {
    clearTimeout(this.#retry);
  }

  /** Whether there is no saved result, or one for another device. */
  get #isWanting(): boolean {
    return this.#saved === undefined || this.#difference !== '';
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
    this.#refuseDamaged();
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
        answerTo: answerTo(dps),
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
  }

  async #fail(error: unknown, { requestId, signal }: Via): Promise<unknown> {
    const reason: unknown = signal.aborted ? signal.reason : error;
    if (this.#retired) return reason;
    const asked = error instanceof CloudError ? error.retryAfterMs : undefined;
    const now = this.#options.now();
    const waitMs = this.#backoff.failed(now, { askedMs: Math.min(asked ?? 0, maxAskedMs) });
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
      this.#options.begin({ again: !this.#isWanting || this.#damage !== '' });
    }, waitMs);
  }

  /** A restart of the service must not shorten the cloud's Retry-After. */
  async #saveRefusal(reason: string, notBefore: Date): Promise<void> {
    const { dps, state, log } = this.#options;
    if (dps === undefined || !this.#isWanting) return;
    const refusal = { reason, answerTo: answerTo(dps), notBefore: notBefore.toISOString() };
    try {
      await state.saveRefusal(refusal);
    } catch (error) {
      log.warn('refusal not saved', { error: describeError(error) });
    }
  }

  /** One that cannot be removed is read only where there is no result for these settings. */
  async #deleteRefusal(): Promise<void> {
    const { state, log } = this.#options;
    try {
      await state.deleteRefusal();
    } catch (error) {
      log.warn('refusal not removed', { error: describeError(error) });
    }
  }

  #refuseEarly(): void {
    const until = this.#refusedUntil;
    if (until === undefined || until <= this.#options.now()) return;
    const when = `tried again at ${until.toISOString()}, by Reprovision at once`;
    throw new ServiceError('Unavailable', `${this.#lastError}; ${when}`);
  }

  #refuseDamaged(): void {
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

/** In the future, no further than a Retry-After can be: a clock that was set back must not put attempts off for years. */
function isAhead(time: Date, now: Date): boolean {
  const ms = time.getTime() - now.getTime();
  return ms > 0 && ms <= maxWaitMs;
}

/** One that cannot be read is ignored. */
async function loadRefusal({ state, log }: DeviceOptions): Promise<SavedRefusal | undefined> {
  try {
    return await state.refusal();
  } catch (error) {
    log.warn('saved refusal unreadable', { error: describeError(error) });
    return undefined;
  }
}
