/**
 * No login of ours ever locks a PIN, over restarts and crashes too. A refused PIN is recorded before anybody
 * hears of it and is not tried again until the configuration has another one or the record is removed: that a
 * token no longer tells of failures proves nothing, since some tell only while they are powered. A login that goes well costs no flush: an empty file marks it while
 * it lasts. Only when one is in doubt, because a mark was left behind or the token says that it counts failures,
 * is the record written first, so that at most two tries are lost to crashes, whatever the token tells.
 */
import { createHash } from 'node:crypto';
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TokenInfo } from 'pkcs11js';
import { ServiceError, systemCode } from '../../../errors.ts';
import { Mutex } from '../../../service/mutex.ts';
import {
  openStateDirectory,
  refuseUnusable,
  type UnusableFile,
} from '../../../service/state/state-file.ts';
import { ckrName } from './ckr.ts';
import { CKF } from './constants.ts';
import { RefusedPin } from './refused-pin.ts';
import { unpadded } from './slots.ts';

/** A login that is to be guarded. */
export interface GuardedLogin<T> {
  /** What the token says of itself now. */
  readonly tokenInfo: () => TokenInfo;
  readonly pin: string;
  /** Logs in; throws what the token answers. */
  readonly attempt: () => T;
}

/** Lets the logins of a process through, one at a time. */
export class PinGuard {
  readonly #directory: string;
  readonly #pins = new Map<string, RefusedPin>();
  /** Refusals that could not be recorded: whatever the PIN, there is no further try in this process. */
  readonly #unrecorded = new Map<string, string>();
  /** One login at a time: the next one must see what became of it. */
  readonly #logins = new Mutex();

  /** Why the directory cannot be used: without it there is no login. */
  #failure: UnusableFile | undefined;

  private constructor(directory: string, failure: UnusableFile | undefined) {
    this.#directory = directory;
    this.#failure = failure;
  }

  /** Records are kept in a directory, which is made when it is missing. */
  static async open(directory: string): Promise<PinGuard> {
    const { failure } = await openStateDirectory(directory);
    return new PinGuard(directory, failure);
  }

  /** Logs in, unless the PIN was refused before: Unavailable, as when the token refuses it now. */
  async login<T>(login: GuardedLogin<T>): Promise<T> {
    return this.#logins.run(() => this.#login(login));
  }

  async #login<T>({ tokenInfo, pin, attempt }: GuardedLogin<T>): Promise<T> {
    if (this.#failure !== undefined) {
      this.#failure = (await openStateDirectory(this.#directory)).failure;
    }
    refuseUnusable(this.#failure);
    const info = tokenInfo();
    const refused = this.#refusedPin(info);
    const mark = `${refused.path}.trying`;
    await this.#refuseAgain(info, refused, pin);
    const wasCountLow = isCountLow(info);
    const inDoubt = wasCountLow || (await exists(mark));
    if (inDoubt) await refused.remember(pin, 'a login that was cut off');
    await putMark(mark);
    try {
      const result = attempt();
      await clear(refused, mark);
      return result;
    } catch (error) {
      const reason = refusalBy(error, wasCountLow, tokenInfo);
      if (reason === undefined) {
        if (inDoubt) await refused.forget();
        throw error;
      }
      await this.#remember(refused, pin, reason);
      await rm(mark, { force: true });
      throw refusedAs(info, reason, refused.path);
    }
  }

  async #refuseAgain(info: TokenInfo, refused: RefusedPin, pin: string): Promise<void> {
    refuseByFlags(info);
    const reason = this.#unrecorded.get(refused.path) ?? (await refused.reasonOf(pin));
    if (reason !== undefined) throw refusedAs(info, reason, refused.path);
  }

  async #remember(refused: RefusedPin, pin: string, reason: string): Promise<void> {
    this.#unrecorded.set(refused.path, reason);
    await refused.remember(pin, reason);
    this.#unrecorded.delete(refused.path);
  }

  #refusedPin({ serialNumber, label, model }: TokenInfo): RefusedPin {
    const identity = JSON.stringify([serialNumber, label, model]);
    const name = createHash('sha256').update(identity).digest('hex').slice(0, 32);
    const known = this.#pins.get(name) ?? new RefusedPin(join(this.#directory, `${name}.json`));
    this.#pins.set(name, known);
    return known;
  }
}

function isCountLow({ flags }: TokenInfo): boolean {
  return (flags & CKF.USER_PIN_COUNT_LOW) !== 0;
}

/** Why a failed login cost a try, `undefined` when it did not: an answer that is not about the PIN may have, too. */
function refusalBy(
  error: unknown,
  wasCountLow: boolean,
  tokenInfo: () => TokenInfo,
): string | undefined {
  const name = ckrName(error);
  if (name?.startsWith('CKR_PIN_') === true) return name;
  return !wasCountLow && isCountLowNow(tokenInfo) ? (name ?? 'a login that failed') : undefined;
}

function isCountLowNow(tokenInfo: () => TokenInfo): boolean {
  try {
    return isCountLow(tokenInfo());
  } catch {
    // the token has gone: the mark that stays makes the next login more careful.
    return false;
  }
}

function refuseByFlags(info: TokenInfo): void {
  const refuse = (reason: string) => {
    throw new ServiceError('Unavailable', `${nameOf(info)} takes no PIN: ${reason}`);
  };
  if ((info.flags & CKF.USER_PIN_LOCKED) !== 0) refuse('CKR_PIN_LOCKED');
  if ((info.flags & CKF.USER_PIN_FINAL_TRY) !== 0) {
    refuse('CKF_USER_PIN_FINAL_TRY, one more wrong PIN locks it: log in by hand first');
  }
  if ((info.flags & CKF.USER_PIN_INITIALIZED) === 0) refuse('CKR_USER_PIN_NOT_INITIALIZED');
}

function refusedAs(info: TokenInfo, reason: string, path: string): ServiceError {
  const again = `it is tried again when another one is configured or ${path} is removed`;
  return new ServiceError('Unavailable', `${nameOf(info)} refuses the PIN: ${reason}; ${again}`);
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

async function putMark(path: string): Promise<void> {
  try {
    await writeFile(path, '', { mode: 0o600 });
  } catch (error) {
    const code = systemCode(error) ?? 'unknown error';
    const message = `no login without a place to record that it failed: ${path}: ${code}`;
    throw new ServiceError('Unavailable', message, { cause: error });
  }
}

async function clear(refused: RefusedPin, mark: string): Promise<void> {
  try {
    await refused.forget();
    await rm(mark, { force: true });
  } catch {
    // what stays makes the next login more careful, no less.
  }
}
