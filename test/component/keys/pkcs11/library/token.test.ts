import { join } from 'node:path';
import type { TokenInfo } from 'pkcs11js';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import type { TokenSelector } from '../../../../../src/keys/config/pkcs11-uri.ts';
import { LostError } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import { CKF, CKS, CKU_USER } from '../../../../../src/keys/pkcs11/library/constants.ts';
import { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { isUser } from '../../../../../src/keys/pkcs11/library/login.ts';
import { PinGuard } from '../../../../../src/keys/pkcs11/library/pin-guard.ts';
import type { Session } from '../../../../../src/keys/pkcs11/library/session.ts';
import { Token } from '../../../../../src/keys/pkcs11/library/token.ts';
import { deadline, soon, until } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('Token');

/** A real token, and a Token on it; `open` opens more of them. */
class Rig implements AsyncDisposable {
  readonly soft: SoftToken;
  readonly library = new Pkcs11Library(softhsmPath);
  readonly #guard: PinGuard;
  readonly #tokens: Token[] = [];

  private constructor(soft: SoftToken, guard: PinGuard) {
    this.soft = soft;
    this.#guard = guard;
  }

  static async start(): Promise<Rig> {
    const soft = await SoftToken.create();
    const rig = new Rig(soft, await PinGuard.open(join(soft.directory, 'refused-pins')));
    await rig.library.ready();
    return rig;
  }

  open(selector: TokenSelector = { slotId: 0 }, value = userPin): Token {
    const pin = { kind: 'value', value } as const;
    const token = new Token({ library: this.library, selector, pin }, this.#guard);
    this.#tokens.push(token);
    return token;
  }

  /** Replaces the information that the token reports. */
  pretend(change: (info: TokenInfo) => Partial<TokenInfo>): void {
    const { api } = this.library;
    const getTokenInfo = api.C_GetTokenInfo.bind(api);
    api.C_GetTokenInfo = (slot) => {
      const info = getTokenInfo(slot);
      return { ...info, ...change(info) };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const token of this.#tokens) await token[Symbol.asyncDispose]();
    await this.library[Symbol.asyncDispose]();
    await this.soft[Symbol.asyncDispose]();
  }
}

const doing = () => 'cannot work';
const handleOf = (session: Session) => session.handle.toString('hex');

/** An action that fails this many times with an error of the library before it succeeds: returns the sessions. */
async function failing(token: Token, error: Error, times: number): Promise<readonly string[]> {
  const sessions: string[] = [];
  const work = (session: Session) => {
    sessions.push(handleOf(session));
    if (sessions.length <= times) throw error;
  };
  await token.use(doing, work, soon());
  return sessions;
}

test('lets no call into a library that is about to restart', async () => {
  await using soft = await SoftToken.create();
  await using library = new Pkcs11Library(softhsmPath);
  const guard = await PinGuard.open(soft.directory);
  const pin = { kind: 'value', value: userPin } as const;
  await using token = new Token({ library, selector: { slotId: 0 }, pin }, guard);
  const signal = AbortSignal.timeout(20_000);
  await library.ready();
  let inside = 0;
  const finalized: number[] = [];
  const finalize = library.api.C_Finalize.bind(library.api);
  library.api.C_Finalize = () => {
    finalized.push(inside);
    finalize();
  };
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const call = () =>
    token.use(
      () => 'cannot wait',
      async () => {
        inside++;
        await gate;
        inside--;
      },
      signal,
    );

  // more calls than sessions: as the first ones leave, the next ones receive theirs
  const calls = Array.from({ length: 12 }, call);
  await until(10_000, 'the first call', () => inside > 0);
  const restart = library.restart(0);
  open();
  await Promise.all([restart, ...calls]);
  assert.equal(finalized, [0]);
});

const losses = {
  object: ['CKR_OBJECT_HANDLE_INVALID', 'CKR_KEY_HANDLE_INVALID'],
  session: [
    'CKR_SESSION_HANDLE_INVALID',
    'CKR_SESSION_CLOSED',
    'CKR_USER_NOT_LOGGED_IN',
    'CKR_OPERATION_ACTIVE',
    'CKR_OPERATION_NOT_INITIALIZED',
  ],
  token: [
    'CKR_CRYPTOKI_NOT_INITIALIZED',
    'CKR_DEVICE_ERROR',
    'CKR_DEVICE_REMOVED',
    'CKR_GENERAL_ERROR',
    'CKR_SLOT_ID_INVALID',
    'CKR_TOKEN_NOT_PRESENT',
    'CKR_TOKEN_NOT_RECOGNIZED',
  ],
} as const;

test('looks an object up again whose handle became invalid, in the same session', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  for (const name of losses.object) {
    const { generation } = token;
    const [first, second, ...more] = await failing(token, new Error(name), 1);
    assert.equal([second, more], [first, []], name);
    assert.is(token.generation, generation + 1, name);
    assert.not(token.holds(generation), name);
  }
});

test('retries in a new and logged-in session when the previous one was lost', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  // errors of calls that run on a thread have their number in the message
  for (const name of [...losses.session, 'CKR_SESSION_CLOSED:176']) {
    await failing(token, new Error(''), 0);
    const { generation } = token;
    const [first, second, ...more] = await failing(token, new Error(name), 1);
    assert.equal(more, [], name);
    assert.is.not(second, first, name);
    assert.is(token.generation, generation + 1, name);
    await token.use(doing, (session) => assert.ok(isUser(rig.library, session.handle)), soon());
  }
});

test('does not retry when the token is still present, or the error does not report a loss', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  const { generation } = token;
  const { generation: started } = rig.library;
  for (const name of [...losses.token, 'CKR_DATA_INVALID', 'CKR_HOST_MEMORY']) {
    const failure: unknown = await failing(token, new Error(name), 1).catch(
      (error: unknown) => error,
    );
    assert.ok(isServiceError(failure, 'Unavailable'), name);
    assert.match(failure.message, `cannot work: pkcs11:slot-id=0: ${name}`);
  }
  const own = new TypeError('a mistake');
  assert.is(await failing(token, own, 1).catch((error: unknown) => error), own);
  assert.is(token.generation, generation);
  assert.is(rig.library.generation, started, 'the library was not started again');
});

test('restarts the library when another token is in the slot', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  const { generation } = rig.library;
  rig.pretend(() => ({ serialNumber: 'another' }));
  const error = new Error('CKR_DEVICE_ERROR');
  assert.is((await failing(token, error, 1)).length, 2);
  assert.is(rig.library.generation, generation + 1);
});

test('gives up after four tries, and hands the session that was lost last to no caller', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const lost: string[] = [];
  const closed: string[] = [];
  const { api } = rig.library;
  const close = api.C_CloseSession.bind(api);
  api.C_CloseSession = (handle) => {
    closed.push(handle.toString('hex'));
    close(handle);
  };
  const work = (session: Session) => {
    lost.push(handleOf(session));
    throw new Error('CKR_OPERATION_ACTIVE');
  };
  const failure: unknown = await token.use(doing, work, soon()).catch((error: unknown) => error);
  assert.match(String(failure), 'CKR_OPERATION_ACTIVE');
  assert.is(lost.length, 4);
  assert.equal(closed, lost);
});

test('does not treat an object as absent when a session without login, or another token, hides it', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const isLost = (loss: string) => (error: unknown) =>
    error instanceof LostError && error.loss === loss;
  await token.use(
    doing,
    (session, api) => {
      token.confirmAbsence(session);
      api.C_Logout(session.handle);
      assert.throws(() => token.confirmAbsence(session), isLost('session'));
      api.C_Login(session.handle, CKU_USER, userPin);
      token.confirmAbsence(session);
      rig.pretend(() => ({ serialNumber: 'another' }));
      assert.throws(() => token.confirmAbsence(session), isLost('token'));
    },
    soon(),
  );
});

test('only reads a write-protected token, logged in nevertheless', async () => {
  await using rig = await Rig.start();
  rig.pretend(({ flags }) => ({ flags: flags | CKF.WRITE_PROTECTED, maxRwSessionCount: 1 }));
  const token = rig.open();
  await token.use(
    doing,
    (session, api) => {
      const { state } = api.C_GetSessionInfo(session.handle);
      assert.is(state, CKS.RO_USER_FUNCTIONS);
      assert.ok(isUser(rig.library, session.handle));
      token.confirmAbsence(session);
    },
    soon(),
  );
});

test('opens up to its limit of sessions, and no more than the token reports', async () => {
  await using rig = await Rig.start();
  const most = async (maxRwSessionCount: number): Promise<number> => {
    rig.pretend(() => ({ maxRwSessionCount }));
    const token = rig.open();
    const seen = new Set<string>();
    let inside = 0;
    let highest = 0;
    const work = async (session: Session) => {
      seen.add(handleOf(session));
      highest = Math.max(highest, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    const calls = Array.from({ length: 12 }, () => token.use(doing, work, soon()));
    await deadline(10_000, Promise.all(calls), `calls over ${maxRwSessionCount} sessions`);
    assert.is(seen.size, highest);
    return highest;
  };
  assert.equal([await most(1), await most(3), await most(4), await most(9)], [1, 3, 4, 4]);
  assert.equal([await most(0), await most(2 ** 32 - 1)], [4, 4], 'no limit');
});

test('leaves no session behind when it is refused', async () => {
  await using rig = await Rig.start();
  const { api } = rig.library;
  const open = api.C_OpenSession.bind(api);
  const close = api.C_CloseSession.bind(api);
  const counts = { opened: 0, closed: 0 };
  api.C_OpenSession = (...call) => {
    counts.opened++;
    return open(...call);
  };
  api.C_CloseSession = (handle) => {
    counts.closed++;
    close(handle);
  };
  const token = rig.open({ slotId: 0 }, 'wrong');
  assert.is(await failureOf(failing(token, new Error(''), 0)), 'Unavailable');
  assert.equal(counts, { opened: 1, closed: 1 });
});

test('caches a failure for a second, and reports another one when it differs', async () => {
  const clock = performance.now.bind(performance);
  await using rig = await Rig.start();
  const token = rig.open({ serial: 'none' });
  const reported: string[] = [];
  token.onChange(
    (failure) => void reported.push(failure instanceof Error ? failure.message : 'works'),
  );
  let now = Math.ceil(clock());
  performance.now = () => now;
  try {
    const { api } = rig.library;
    const list = api.C_GetSlotList.bind(api);
    let lookups = 0;
    api.C_GetSlotList = (...call) => {
      lookups++;
      return list(...call);
    };
    const fails = async () =>
      assert.is(await failureOf(failing(token, new Error(''), 0)), 'Unavailable');
    await fails();
    const once = lookups;
    now += 999;
    await fails();
    assert.is(lookups, once, 'it was not looked for');
    now += 1;
    await fails();
    assert.ok(lookups > once);
    assert.is(reported.length, 1, reported.join());
    rig.pretend(() => ({ serialNumber: 'none' }));
    now += 1000;
    await failing(token, new Error(''), 0);
    assert.is(reported.at(-1), 'works');
  } finally {
    performance.now = clock;
  }
});

test('resolves a selector only in its own library, and while it is connected', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const other = new Pkcs11Library('/nonexistent/library.so');
  assert.not(token.isSelectedBy(rig.library, { token: 'edge' }));
  await failing(token, new Error(''), 0);
  assert.ok(token.isSelectedBy(rig.library, { token: 'edge' }));
  assert.not(token.isSelectedBy(rig.library, { token: 'other' }));
  assert.not(token.isSelectedBy(other, { token: 'edge' }));
});

test.run();
