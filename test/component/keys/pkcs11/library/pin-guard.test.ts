import { cpSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Handle } from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../../../src/errors.ts';
import { Pkcs11Error } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import { PinGuard } from '../../../../../src/keys/pkcs11/library/pin-guard.ts';
import { CKF, CKU_USER } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import { deadline } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../../support/library/in-process-library.ts';

const wrongPin = 'not the right one';

/** A PIN as a word: names of temporary files and fingerprints sometimes contain its digits. */
function asWord(pin: string): RegExp {
  return new RegExp(`(?<![0-9A-Za-z+/])${pin}(?![0-9A-Za-z+/])`);
}

/** A real token and its guard; `restart` drops the state of the process. */
class Rig implements AsyncDisposable {
  readonly token: SoftToken;
  readonly library = new InProcessLibrary(softhsmPath);
  readonly directory: string;
  guard: PinGuard;
  attempts = 0;
  /** The bytes of the PINs of all attempts. */
  readonly pins: Buffer[] = [];

  private constructor(token: SoftToken, directory: string, guard: PinGuard) {
    this.token = token;
    this.directory = directory;
    this.guard = guard;
  }

  static async start(): Promise<Rig> {
    const token = await SoftToken.create();
    const directory = join(token.directory, 'refused-pins');
    const rig = new Rig(token, directory, await PinGuard.open(directory));
    await rig.library.ready();
    return rig;
  }

  async restart(): Promise<void> {
    this.guard = await PinGuard.open(this.directory);
  }

  /** The message of the refusal, or `logged in`. */
  async login(pin: string, { flags = 0, hidden = 0, meanwhile = () => {} } = {}): Promise<string> {
    const { api } = this.library;
    const slot: Handle = Buffer.alloc(8);
    const tokenInfo = async () => {
      const info = api.C_GetTokenInfo(slot);
      return { ...info, flags: (info.flags | flags) & ~hidden };
    };
    const attempt = async (bytes: Buffer) => {
      this.attempts++;
      this.pins.push(bytes);
      meanwhile();
      const session = api.C_OpenSession(slot, CKF.SERIAL_SESSION);
      try {
        api.C_Login(session, CKU_USER, bytes.toString());
      } catch (error) {
        throw error instanceof Error ? new Pkcs11Error(error.message, 'C_Login') : error;
      } finally {
        api.C_CloseSession(session);
      }
    };
    try {
      const token = api.C_GetTokenInfo(slot);
      await this.guard.login({ token, tokenInfo, pin, attempt });
      return 'logged in';
    } catch (error) {
      if (!isServiceError(error, 'Unavailable')) throw error;
      assert.not.match(error.message, asWord(pin));
      return error.message;
    }
  }

  files(): Promise<readonly string[]> {
    return readdir(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.library[Symbol.asyncDispose]();
    await this.token[Symbol.asyncDispose]();
  }
}

const test = suite('PinGuard');

test('leaves nothing behind when the PIN is right', async () => {
  await using rig = await Rig.start();
  assert.is(await rig.login(userPin), 'logged in');
  assert.equal(await rig.files(), []);
});

test('tries a wrong PIN once, whoever the caller is and after a restart too', async () => {
  await using rig = await Rig.start();
  const outcomes = await Promise.all([rig.login(wrongPin), rig.login(wrongPin)]);
  await rig.restart();
  outcomes.push(await rig.login(wrongPin));
  for (const outcome of outcomes) {
    assert.match(outcome, /token "edge" \(serial [0-9a-f]+\) refuses the PIN: CKR_PIN_INCORRECT/);
  }
  assert.is(rig.attempts, 1);
});

test('stores a fingerprint that does not resemble the PIN, in a file for the service only', async () => {
  await using rig = await Rig.start();
  const outcome = await rig.login(wrongPin);
  const [name = '', ...others] = await rig.files();
  assert.equal(others, []);
  const path = join(rig.directory, name);
  assert.match(outcome, `${path} is removed`);
  assert.not.match(await readFile(path, 'utf8'), asWord(wrongPin));
  assert.is((await stat(path)).mode & 0o777, 0o600);
});

test('tries the next configured PIN, and removes the record of the previous one when it is right', async () => {
  await using rig = await Rig.start();
  await rig.login(wrongPin);
  await rig.restart();
  assert.match(await rig.login('another wrong one'), 'CKR_PIN_INCORRECT');
  assert.is(await rig.login(userPin), 'logged in');
  assert.is(rig.attempts, 3);
  assert.equal(await rig.files(), []);
});

test('tries again once the administrator has removed the record', async () => {
  await using rig = await Rig.start();
  await rig.login(wrongPin);
  for (const name of await rig.files()) await rm(join(rig.directory, name));
  await rig.login(wrongPin);
  assert.is(rig.attempts, 2);
});

test('does not try again because the token has lost its count of failures', async () => {
  await using rig = await Rig.start();
  await rig.login(wrongPin);
  await rig.token.login('--list-objects');
  await rig.restart();
  assert.match(await rig.login(wrongPin), 'CKR_PIN_INCORRECT');
  assert.is(rig.attempts, 1);
});

test('does not log in at all where one more wrong PIN locks the token, or the record cannot be saved', async () => {
  await using rig = await Rig.start();
  const finalTry = await rig.login(userPin, { flags: CKF.USER_PIN_FINAL_TRY });
  assert.match(finalTry, 'CKF_USER_PIN_FINAL_TRY');
  const locked = await rig.login(userPin, { flags: CKF.USER_PIN_LOCKED });
  assert.match(locked, 'CKR_PIN_LOCKED');
  await rm(rig.directory, { recursive: true });
  assert.match(await rig.login(userPin), 'ENOENT');
  assert.is(rig.attempts, 0);
});

test('retries no PIN in this process when the refusal cannot be recorded', async () => {
  await using rig = await Rig.start();
  const meanwhile = () => rmSync(rig.directory, { recursive: true });
  assert.match(await rig.login(wrongPin, { meanwhile }), 'cannot be written');
  await mkdir(rig.directory);
  assert.match(await rig.login(wrongPin), 'CKR_PIN_INCORRECT');
  assert.match(await rig.login(userPin), 'CKR_PIN_INCORRECT');
  assert.is(rig.attempts, 1);
});

test('uses at most two tries when the process dies whenever it logs in', async () => {
  await using rig = await Rig.start();
  const crashed = join(rig.token.directory, 'crashed');
  const meanwhile = () => cpSync(rig.directory, crashed, { recursive: true });
  for (let restarts = 0; restarts < 4; restarts++) {
    await rig.login(wrongPin, { meanwhile });
    await rm(rig.directory, { recursive: true });
    cpSync(crashed, rig.directory, { recursive: true });
    await rig.restart();
  }
  assert.is(rig.attempts, 2);
  assert.match(await rig.login(wrongPin), 'a login that was cut off');
});

test('uses at most two tries also of a token that counts no failures', async () => {
  await using rig = await Rig.start();
  const crashed = join(rig.token.directory, 'crashed');
  const meanwhile = () => cpSync(rig.directory, crashed, { recursive: true });
  for (let restarts = 0; restarts < 4; restarts++) {
    await rig.login(wrongPin, { meanwhile, hidden: CKF.USER_PIN_COUNT_LOW });
    await rm(rig.directory, { recursive: true });
    cpSync(crashed, rig.directory, { recursive: true });
    await rig.restart();
  }
  assert.is(rig.attempts, 2);
});

test('records a PIN before it tries it where the token reports that it counts failures', async () => {
  await using rig = await Rig.start();
  let before: readonly string[] = [];
  const meanwhile = () => {
    before = readdirSync(rig.directory).filter((name) => name.endsWith('.json'));
  };
  const flags = CKF.USER_PIN_COUNT_LOW;
  assert.is(await rig.login(userPin, { flags, meanwhile }), 'logged in');
  assert.is(before.length, 1);
  assert.equal(await rig.files(), []);
  assert.is(await rig.login(userPin, { meanwhile }), 'logged in');
  assert.is(before.length, 0, 'and not otherwise: it costs a flush');
});

test('refuses the PIN after an unrelated failure, when the token has begun to count', async () => {
  await using rig = await Rig.start();
  let flags = 0;
  const failing = async () =>
    await rig.guard.login({
      token: rig.library.api.C_GetTokenInfo(Buffer.alloc(8)),
      tokenInfo: async () => ({
        ...rig.library.api.C_GetTokenInfo(Buffer.alloc(8)),
        flags: CKF.USER_PIN_INITIALIZED | flags,
      }),
      pin: userPin,
      attempt: () => {
        rig.attempts++;
        flags = CKF.USER_PIN_COUNT_LOW;
        return Promise.reject(new Pkcs11Error('CKR_DEVICE_ERROR', 'C_Login'));
      },
    });
  const failure: unknown = await failing().catch((error: unknown) => error);
  assert.match(String(failure), 'refuses the PIN: CKR_DEVICE_ERROR');
  flags = 0;
  assert.match(String(await failing().catch((error: unknown) => error)), 'refuses the PIN');
  assert.is(rig.attempts, 1);
});

test('tries the PIN again after an unrelated failure', async () => {
  await using rig = await Rig.start();
  const meanwhile = () => {
    throw new Pkcs11Error('CKR_DEVICE_REMOVED', 'C_Login');
  };
  for (const flags of [0, CKF.USER_PIN_COUNT_LOW]) {
    const failed: unknown = await rig
      .login(userPin, { flags, meanwhile })
      .catch((error: unknown) => error);
    assert.match(String(failed), 'CKR_DEVICE_REMOVED');
    assert.is(await rig.login(userPin), 'logged in');
  }
});

test('uses at most two tries when the library ends or hangs whenever it logs in, and says why', async () => {
  await using rig = await Rig.start();
  const meanwhile = () => {
    throw new ServiceError('Unavailable', 'the library was ended by SIGABRT');
  };
  const login = () => rig.login(userPin, { meanwhile, hidden: CKF.USER_PIN_COUNT_LOW });
  assert.match(await login(), 'SIGABRT');
  assert.match(await login(), 'SIGABRT');
  assert.match(
    await login(),
    'may have refused the PIN: a login that was cut off; it is tried again when',
  );
  await rig.restart();
  assert.match(await login(), 'a login that was cut off');
  assert.is(rig.attempts, 2);
});

test('lets a login that was cut off once pass, and forgets it', async () => {
  await using rig = await Rig.start();
  const meanwhile = () => {
    throw new ServiceError('Unavailable', 'the library hangs');
  };
  await rig.login(userPin, { meanwhile });
  assert.is(await rig.login(userPin), 'logged in');
  assert.equal(await rig.files(), []);
});

test('settles when no login is under way, or at its time limit', async () => {
  await using rig = await Rig.start();
  await rig.guard.settled(10_000);
  let end = (): void => undefined;
  const hangs = new Promise<void>((resolve) => {
    end = resolve;
  });
  const token = rig.library.api.C_GetTokenInfo(Buffer.alloc(8));
  const tokenInfo = async () => token;
  const hanging = rig.guard.login({ token, tokenInfo, pin: userPin, attempt: () => hangs });
  await rig.guard.settled(50);
  let isSettled = false;
  const settled = rig.guard.settled(10_000).then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.not(isSettled, 'a login is under way');
  end();
  await hanging;
  await settled;
});

test('does not try the PIN for a caller that left before its turn', async () => {
  await using rig = await Rig.start();
  const token = rig.library.api.C_GetTokenInfo(Buffer.alloc(8));
  let attempts = 0;
  const attempt = async (): Promise<void> => void attempts++;
  const tokenInfo = async () => token;
  const login = { token, tokenInfo, pin: userPin, attempt, signal: AbortSignal.abort() };
  assert.is(await failureOf(rig.guard.login(login)), 'Cancelled');
  assert.is(attempts, 0);
  assert.equal(await rig.files(), []);
});

test('waits for no login of another token', async () => {
  await using rig = await Rig.start();
  let end = (): void => undefined;
  const hangs = new Promise<void>((resolve) => {
    end = resolve;
  });
  const info = rig.library.api.C_GetTokenInfo(Buffer.alloc(8));
  const other = { ...info, serialNumber: 'another' };
  const tokenInfo = async () => other;
  const hanging = rig.guard.login({ token: other, tokenInfo, pin: 'any', attempt: () => hangs });
  try {
    assert.is(await deadline(10_000, rig.login(userPin), 'the login'), 'logged in');
  } finally {
    end();
    await hanging;
  }
});

test('wipes the bytes of the PIN after every login', async () => {
  await using rig = await Rig.start();
  await rig.login(userPin);
  await rig.login(wrongPin);
  assert.equal(rig.pins, [Buffer.alloc(userPin.length), Buffer.alloc(wrongPin.length)]);
});

test('refuses a PIN that was never set', async () => {
  await using rig = await Rig.start();
  const refused = await rig.login(userPin, { hidden: CKF.USER_PIN_INITIALIZED });
  assert.match(refused, 'CKR_USER_PIN_NOT_INITIALIZED');
  assert.is(rig.attempts, 0);
});

test('does not try a PIN when the record of the last one is damaged', async () => {
  await using rig = await Rig.start();
  await rig.login(wrongPin);
  for (const name of await rig.files()) await writeFile(join(rig.directory, name), '{"salt":"00"}');
  await rig.restart();
  assert.match(await rig.login(userPin), 'it is damaged');
  assert.is(rig.attempts, 1);
});

test.run();
