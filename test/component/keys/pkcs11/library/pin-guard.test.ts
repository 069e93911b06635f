import { cpSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Handle } from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import { CKF, CKU_USER } from '../../../../../src/keys/pkcs11/library/constants.ts';
import { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { PinGuard } from '../../../../../src/keys/pkcs11/library/pin-guard.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';

const wrongPin = 'not the right one';

/** A PIN as a word: names of temporary files and fingerprints sometimes contain its digits. */
function asWord(pin: string): RegExp {
  return new RegExp(`(?<![0-9A-Za-z+/])${pin}(?![0-9A-Za-z+/])`);
}

/** A real token and its guard; `restart` drops the state of the process. */
class Rig implements AsyncDisposable {
  readonly token: SoftToken;
  readonly library = new Pkcs11Library(softhsmPath);
  readonly directory: string;
  guard: PinGuard;
  attempts = 0;

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
    const tokenInfo = () => {
      const info = api.C_GetTokenInfo(slot);
      return { ...info, flags: (info.flags | flags) & ~hidden };
    };
    const attempt = () => {
      this.attempts++;
      meanwhile();
      const session = api.C_OpenSession(slot, CKF.SERIAL_SESSION);
      try {
        api.C_Login(session, CKU_USER, pin);
      } finally {
        api.C_CloseSession(session);
      }
    };
    try {
      await this.guard.login({ tokenInfo, pin, attempt });
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
      tokenInfo: () => ({
        ...rig.library.api.C_GetTokenInfo(Buffer.alloc(8)),
        flags: CKF.USER_PIN_INITIALIZED | flags,
      }),
      pin: userPin,
      attempt: () => {
        rig.attempts++;
        flags = CKF.USER_PIN_COUNT_LOW;
        throw new Error('CKR_DEVICE_ERROR');
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
    throw new Error('CKR_DEVICE_REMOVED');
  };
  for (const flags of [0, CKF.USER_PIN_COUNT_LOW]) {
    const failed: unknown = await rig
      .login(userPin, { flags, meanwhile })
      .catch((error: unknown) => error);
    assert.match(String(failed), 'CKR_DEVICE_REMOVED');
    assert.is(await rig.login(userPin), 'logged in');
  }
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
