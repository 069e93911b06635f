/**
 * Guarantees that logins of this service never lock a PIN, even over restarts and crashes. A refused PIN is recorded
 * before its failure is reported, and is not tried again until another one is configured or the record is removed.
 * That a token reports no failed logins proves nothing: some count them only while they have power. A successful
 * login needs no fsync, only an empty marker file while it lasts. The record is written before the login when a
 * marker was left behind or the token reports failed logins, so crashes cost at most two tries with any token.
 */
import { createHash } from 'node:crypto';
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cancellation } from '../../../cancellation.ts';
import { ServiceError, systemCode } from '../../../errors.ts';
import { KeyedMutex } from '../../../service/mutex.ts';
import {
  openStateDirectory,
  refuseUnusable,
  type UnusableFile,
} from '../../../service/state/state-file.ts';
import { CKF } from '../protocol/constants.ts';
import type { TokenInfo } from '../protocol/values.ts';
import { cancelled, ckrName, LostError, Pkcs11Error } from './ckr.ts';
import { RefusedPin } from './refused-pin.ts';
import { unpadded } from './slots.ts';

/** The reason of a login whose outcome is not known. */
const cutOff = 'a login that was cut off';

const settlePollMs = 10;

/** A login with a PIN. */
export interface GuardedLogin<T> {
  /** The token, as it was found. */
  readonly token: TokenInfo;
  /** Reads the current state of the token. */
  readonly tokenInfo: () => Promise<TokenInfo>;
  readonly pin: string;
  /** Ends waiting for the turn, before the PIN is tried. */
  readonly signal?: Cancellation | undefined;
  /** Logs in; throws the error of the token. The bytes of the PIN are wiped afterwards. */
  readonly attempt: (pin: Buffer) => Promise<T>;
}

/** Runs the logins of the service, one at a time for each token. */
export class PinGuard {
  readonly #directory: string;
  readonly #pins = new Map<string, RefusedPin>();
  /** Refusals that could not be recorded: this process then tries no PIN of the token again. */
  readonly #unrecorded = new Map<string, string>();
  /** One login at a time for each token: the next one must see the outcome. */
  readonly #logins = new KeyedMutex<string>();

  /** Why the directory is unusable, which prevents all logins. */
  #failure: UnusableFile | undefined;

  private constructor(directory: string, failure: UnusableFile | undefined) {
    this.#directory = directory;
    this.#failure = failure;
  }

  /** Creates the directory of the records when it is missing. */
  static async open(directory: string): Promise<PinGuard> {
    const { failure } = await openStateDirectory(directory);
    return new PinGuard(directory, failure);
  }

  /** Logs in. Unavailable when the token refuses the PIN, or refused it before. */
  async login<T>(login: GuardedLogin<T>): Promise<T> {
    if (this.#failure !== undefined) {
      this.#failure = (await openStateDirectory(this.#directory)).failure;
    }
    refuseUnusable(this.#failure);
    const refused = this.#refusedPin(login.token);
    return this.#logins.run(refused.path, () => this.#login(login, refused));
  }

  async #login<T>(login: GuardedLogin<T>, refused: RefusedPin): Promise<T> {
    const { tokenInfo, pin, attempt, signal } = login;
    if (signal?.aborted === true) throw cancelled();
    const info = await tokenInfo();
    const marker = `${refused.path}.trying`;
    await this.#assertNotRefused(info, refused, pin);
    const wasCountLow = isCountLow(info);
    const inDoubt = wasCountLow || (await exists(marker));
    if (inDoubt) await refused.save(pin, cutOff);
    await writeMarker(marker);
    const bytes = Buffer.from(pin);
    try {
      const result = await attempt(bytes);
      await clear(refused, marker);
      return result;
    } catch (error) {
      // the token may have counted it: what was written before the attempt stays
      if (isCutOff(error)) throw error;
      const reason = await refusalBy(error, wasCountLow, tokenInfo);
      if (reason === undefined) {
        if (inDoubt) await refused.remove();
        throw error;
      }
      await this.#save(refused, pin, reason);
      await rm(marker, { force: true });
      throw refusedAs(info, reason, refused.path);
    } finally {
      bytes.fill(0);
    }
  }

  /** Waits until no login is pending: interrupting one may use up an attempt of the PIN. */
  async settled(timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (this.#logins.size > 0 && performance.now() < end) await sleep(settlePollMs);
  }

  async #assertNotRefused(info: TokenInfo, refused: RefusedPin, pin: string): Promise<void> {
    assertUnlocked(info);
    const reason = this.#unrecorded.get(refused.path) ?? (await refused.reasonOf(pin));
    if (reason !== undefined) throw refusedAs(info, reason, refused.path);
  }

  async #save(refused: RefusedPin, pin: string, reason: string): Promise<void> {
    this.#unrecorded.set(refused.path, reason);
    await refused.save(pin, reason);
    this.#unrecorded.delete(refused.path);
  }

  #refusedPin({ serialNumber, label, model }: TokenInfo): RefusedPin {
    const identity = JSON.stringify([serialNumber, label, model]);
    const name = createHash('sha256').update(identity).digest('hex').slice(0, 32);
    const pin = this.#pins.get(name) ?? new RefusedPin(join(this.#directory, `${name}.json`));
    this.#pins.set(name, pin);
    return pin;
  }
}

function isCountLow({ flags }: TokenInfo): boolean {
  return (flags & CKF.USER_PIN_COUNT_LOW) !== 0;
}

/** Whether the library has not answered: its process ended or hung. */
function isCutOff(error: unknown): boolean {
  return !(error instanceof Pkcs11Error || error instanceof LostError);
}

/** Why a failed login counts as a try, undefined when it does not: errors that do not mention the PIN may count. */
async function refusalBy(
  error: unknown,
  wasCountLow: boolean,
  tokenInfo: () => Promise<TokenInfo>,
): Promise<string | undefined> {
  const name = ckrName(error);
  if (name?.startsWith('CKR_PIN_') === true) return name;
  if (wasCountLow || !(await isCountLowNow(tokenInfo))) return undefined;
  return name ?? 'a login that failed';
}

async function isCountLowNow(tokenInfo: () => Promise<TokenInfo>): Promise<boolean> {
  try {
    return isCountLow(await tokenInfo());
  } catch {
    // the token was removed: the marker stays, so the next login is more careful
    return false;
  }
}

function assertUnlocked(info: TokenInfo): void {
  const reject = (reason: string) => {
    throw new ServiceError('Unavailable', `${nameOf(info)} takes no PIN: ${reason}`);
  };
  if ((info.flags & CKF.USER_PIN_LOCKED) !== 0) reject('CKR_PIN_LOCKED');
  if ((info.flags & CKF.USER_PIN_FINAL_TRY) !== 0) {
    reject('CKF_USER_PIN_FINAL_TRY, one more wrong PIN locks it: log in by hand first');
  }
  if ((info.flags & CKF.USER_PIN_INITIALIZED) === 0) reject('CKR_USER_PIN_NOT_INITIALIZED');
}

function refusedAs(info: TokenInfo, reason: string, path: string): ServiceError {
  const again = `it is tried again when another one is configured or ${path} is removed`;
  const verb = reason === cutOff ? 'may have refused' : 'refuses';
  return new ServiceError('Unavailable', `${nameOf(info)} ${verb} the PIN: ${reason}; ${again}`);
}

function nameOf({ label, serialNumber }: TokenInfo): string {
  return `token "${unpadded(label)}" (serial ${unpadded(serialNumber)})`;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function writeMarker(path: string): Promise<void> {
  try {
    await writeFile(path, '', { mode: 0o600 });
  } catch (error) {
    const code = systemCode(error) ?? 'unknown error';
    const message = `no login without a place to record that it failed: ${path}: ${code}`;
    throw new ServiceError('Unavailable', message, { cause: error });
  }
}

async function clear(refused: RefusedPin, marker: string): Promise<void> {
  try {
    await refused.remove();
    await rm(marker, { force: true });
  } catch {
    // leftovers only make the next login more careful
  }
}
