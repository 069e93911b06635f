import { join } from 'node:path';
import type { TokenInfo } from 'pkcs11js';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import type { TokenSelector } from '../../../../../src/keys/config/pkcs11-uri.ts';
import { LostError, Pkcs11Error } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import { PinGuard } from '../../../../../src/keys/pkcs11/library/pin-guard.ts';
import { Token } from '../../../../../src/keys/pkcs11/library/token.ts';
import type { TokenSessions } from '../../../../../src/keys/pkcs11/library/token-sessions.ts';
import {
  CKA,
  CKF,
  CKM,
  CKO,
  CKS,
  CKU_USER,
} from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../../support/library/in-process-library.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('Token');

/** A real token, and a Token on it; `open` opens more of them. */
class Rig implements AsyncDisposable {
  readonly soft: SoftToken;
  readonly library = new InProcessLibrary(softhsmPath);
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
    for (const token of this.#tokens) token[Symbol.dispose]();
    await this.library[Symbol.asyncDispose]();
    await this.soft[Symbol.asyncDispose]();
  }
}

const doing = () => 'cannot work';
const loss = (ckr: string) => new Pkcs11Error(ckr, 'C_Sign');

/** An action that fails this many times with an error of the library before it succeeds: returns the sessions. */
async function failing(
  token: Token,
  error: Error,
  times: number,
): Promise<readonly TokenSessions[]> {
  const used: TokenSessions[] = [];
  await token.use(doing, async (sessions) => {
    used.push(sessions);
    if (used.length <= times) throw error;
  });
  return used;
}

test('restarts the library only when no call runs in it, and closes all sessions', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const { api } = rig.library;
  let inside = 0;
  const finalized: number[] = [];
  const finalize = api.C_Finalize.bind(api);
  api.C_Finalize = () => {
    finalized.push(inside);
    finalize();
  };
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const generate = api.C_GenerateKeyAsync.bind(api);
  api.C_GenerateKeyAsync = async (...call) => {
    inside++;
    await gate;
    const made = await generate(...call);
    inside--;
    return made;
  };
  const template = {
    mechanism: { mechanism: CKM.GENERIC_SECRET_KEY_GEN },
    key: [
      { type: CKA.CLASS, value: CKO.SECRET_KEY },
      { type: CKA.VALUE_LEN, value: 32 },
    ],
  };
  const call = () => token.use(doing, (sessions) => sessions.generateKey(template));
  // more calls than sessions: those that wait for one make their call after the restart
  const calls = Array.from({ length: 12 }, call);
  await until(10_000, 'the first calls', () => inside === 4);
  const restart = rig.library.restart(0);
  open();
  await deadline(10_000, Promise.all([restart, ...calls]), 'all calls');
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
    const [first, second, ...more] = await failing(token, loss(name), 1);
    assert.equal([second, more], [first, []], name);
    assert.is(token.generation, generation + 1, name);
    assert.not(token.holds(generation), name);
  }
});

test('invalidates the handles also when the call that connects finds one invalid', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const generations: number[] = [];
  await token.use(doing, async () => {
    generations.push(token.generation);
    if (generations.length === 1) throw loss('CKR_OBJECT_HANDLE_INVALID');
  });
  assert.equal(generations, [1, 2]);
});

test('invalidates the handles once for all calls that find them invalid, however often they do', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  const { generation } = token;
  const error = loss('CKR_KEY_HANDLE_INVALID');
  const calls = [failing(token, error, 9), failing(token, error, 9), failing(token, error, 1)];
  const outcomes = await Promise.allSettled(calls);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
  assert.is(token.generation, generation + 1);
});

test('retries in a new and logged-in session when the previous one was lost', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  for (const name of losses.session) {
    await failing(token, new Error(''), 0);
    const { generation } = token;
    const [first, second, ...more] = await failing(token, loss(name), 1);
    assert.equal(more, [], name);
    assert.is.not(second, first, name);
    assert.is(token.generation, generation + 1, name);
    await token.use(doing, async (sessions) => assert.ok(await sessions.isUser()));
  }
});

test('does not retry when the token is still present, or the error does not report a loss', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  const { generation } = token;
  const { generation: started } = rig.library;
  for (const name of [...losses.token, 'CKR_DATA_INVALID', 'CKR_HOST_MEMORY']) {
    const failure: unknown = await failing(token, loss(name), 1).catch((error: unknown) => error);
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
  const error = loss('CKR_DEVICE_ERROR');
  assert.is((await failing(token, error, 1)).length, 2);
  assert.is(rig.library.generation, generation + 1);
});

test('gives up after four tries, and closes the sessions that were lost', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  const { api } = rig.library;
  let closed = 0;
  const close = api.C_CloseSession.bind(api);
  api.C_CloseSession = (handle) => {
    closed++;
    close(handle);
  };
  const used = new Set<TokenSessions>();
  const work = async (sessions: TokenSessions) => {
    used.add(sessions);
    throw loss('CKR_OPERATION_ACTIVE');
  };
  const failure: unknown = await token.use(doing, work).catch((error: unknown) => error);
  assert.match(String(failure), 'CKR_OPERATION_ACTIVE');
  assert.is(used.size, 4);
  await until(10_000, 'the sessions are closed', () => closed >= 3);
  for (const sessions of [...used].slice(0, 3)) {
    const late: unknown = await sessions.isUser().catch((error: unknown) => error);
    assert.instance(late, LostError);
  }
});

test('does not treat an object as absent when sessions without login, or another token, hide it', async () => {
  await using rig = await Rig.start();
  const token = rig.open();
  await failing(token, new Error(''), 0);
  const lossOf = async (): Promise<unknown> => {
    const failure: unknown = await token.confirmAbsence().catch((error: unknown) => error);
    return failure instanceof LostError ? failure.loss : failure;
  };
  const { api } = rig.library;
  const session = api.C_OpenSession(Buffer.alloc(8), CKF.SERIAL_SESSION);
  assert.is(await lossOf(), undefined);
  api.C_Logout(session);
  assert.is(await lossOf(), 'session');
  api.C_Login(session, CKU_USER, userPin);
  assert.is(await lossOf(), undefined);
  rig.pretend(() => ({ serialNumber: 'another' }));
  assert.is(await lossOf(), 'token');
});

test('only reads a write-protected token, logged in nevertheless', async () => {
  await using rig = await Rig.start();
  rig.pretend(({ flags }) => ({ flags: flags | CKF.WRITE_PROTECTED, maxRwSessionCount: 1 }));
  const token = rig.open();
  const { api } = rig.library;
  const states: number[] = [];
  const sessionInfo = api.C_GetSessionInfo.bind(api);
  api.C_GetSessionInfo = (session) => {
    const info = sessionInfo(session);
    states.push(info.state);
    return info;
  };
  await failing(token, new Error(''), 0);
  await token.confirmAbsence();
  assert.is(states.at(-1), CKS.RO_USER_FUNCTIONS);
});

test('opens up to its limit of sessions, and no more than the token reports', async () => {
  await using rig = await Rig.start();
  const { api } = rig.library;
  const open = api.C_OpenSession.bind(api);
  let opened = 0;
  api.C_OpenSession = (...call) => {
    opened++;
    return open(...call);
  };
  const most = async (maxRwSessionCount: number): Promise<number> => {
    rig.pretend(() => ({ maxRwSessionCount }));
    opened = 0;
    const token = rig.open();
    const key = [
      { type: CKA.CLASS, value: CKO.SECRET_KEY },
      { type: CKA.VALUE_LEN, value: 32 },
    ];
    const template = { mechanism: { mechanism: CKM.GENERIC_SECRET_KEY_GEN }, key };
    const work = (sessions: TokenSessions) => sessions.generateKey(template);
    const calls = Array.from({ length: 12 }, () => token.use(doing, work));
    await deadline(10_000, Promise.all(calls), `calls over ${maxRwSessionCount} sessions`);
    return opened;
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
  await until(10_000, 'the session is closed', () => counts.closed === 1);
  assert.is(counts.opened, 1);
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
  const other = new InProcessLibrary('/nonexistent/library.so');
  assert.not(token.isSelectedBy(rig.library, { token: 'edge' }));
  await failing(token, new Error(''), 0);
  assert.ok(token.isSelectedBy(rig.library, { token: 'edge' }));
  assert.not(token.isSelectedBy(rig.library, { token: 'other' }));
  assert.not(token.isSelectedBy(other, { token: 'edge' }));
});

test.run();
