import * as assert from 'uvu/assert';
import type { Calls } from '../../../../../src/keys/pkcs11/host/calls.ts';
import { CkrError, LostError } from '../../../../../src/keys/pkcs11/host/failures.ts';
import type { Session } from '../../../../../src/keys/pkcs11/host/session.ts';
import { SessionPool } from '../../../../../src/keys/pkcs11/host/session-pool.ts';
import { deadline } from '../../../../support/deadline.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('sessions with a token');

/** A library that opens sessions up to its limit, and a pool over it. */
function open({ limit = 2, most = 100 } = {}) {
  const opened: number[] = [];
  const closed: number[] = [];
  const stuck: boolean[] = [];
  const api = {
    C_OpenSession: (_slot: Buffer, flags: number) => {
      const isFull = opened.length - closed.length >= most;
      if (isFull) throw new CkrError('CKR_SESSION_COUNT', 'C_OpenSession');
      opened.push(flags);
      return Buffer.of(opened.length);
    },
    C_CloseSession: (handle: Buffer) => {
      closed.push(handle[0] ?? 0);
    },
  };
  // the calls of a pool
  const pool = new SessionPool(api as unknown as Calls, {
    slot: Buffer.alloc(8),
    flags: 6,
    limit,
    onStuck: (isLast) => void stuck.push(isLast),
  });
  return { pool, opened, closed, stuck };
}

function taken(pool: SessionPool): Session {
  const session = pool.take();
  assert.ok(session);
  return session;
}

const isLost = (error: unknown) => error instanceof LostError;

test('are limited in number, opened on demand, and reused', () => {
  const { pool, opened, closed } = open({ limit: 2 });
  assert.equal(opened, []);
  const first = taken(pool);
  pool.release(first);
  assert.is(taken(pool), first);
  const second = taken(pool);
  assert.is.not(second, first);
  assert.is(pool.take(), undefined);
  assert.equal(opened, [6, 6]);
  pool.release(second);
  assert.is(taken(pool), second);
  assert.equal(closed, []);
});

test('are given to waiting callers in order', async () => {
  const { pool } = open({ limit: 1 });
  const only = taken(pool);
  const order: string[] = [];
  const waits = ['first', 'second'].map(async (name) => {
    const session = await pool.wait();
    order.push(name);
    pool.release(session);
  });
  pool.release(only);
  await deadline(10_000, Promise.all(waits), 'the sessions');
  assert.equal(order, ['first', 'second']);
  assert.is(pool.take(), only);
});

test('that are broken are closed, and another one is opened for a waiting caller', async () => {
  const { pool, closed } = open({ limit: 1 });
  const broken = taken(pool);
  const waits = pool.wait();
  broken.broken = true;
  pool.release(broken);
  const next = await deadline(10_000, waits, 'another session');
  assert.is.not(next, broken);
  assert.equal(closed, [1]);
  next.broken = true;
  pool.release(next);
  assert.is.not(taken(pool), next);
  assert.is(pool.take(), undefined);
});

test('are limited to those of the token, once it has reported its limit', () => {
  const { pool, opened } = open({ limit: 4, most: 2 });
  const first = taken(pool);
  taken(pool);
  assert.is(pool.take(), undefined);
  assert.is(pool.take(), undefined);
  assert.is(opened.length, 2);
  pool.release(first);
  assert.is(pool.take(), first);
  const none = open({ most: 0 }).pool;
  assert.throws(() => none.take(), /CKR_SESSION_COUNT/);
});

test('of a closed pool are closed when they are returned, and waiting callers are rejected', async () => {
  const { pool, closed } = open({ limit: 2 });
  const [busy, free] = [taken(pool), taken(pool)];
  const waits = pool.wait();
  pool.release(free);
  assert.is(await waits, free);
  pool.release(free);
  taken(pool);
  const lost = pool.wait().catch((error: unknown) => error);
  pool.close();
  assert.ok(isLost(await deadline(10_000, lost, 'the loss')));
  assert.throws(() => pool.take(), isLost);
  assert.equal(closed, []);
  pool.release(busy);
  assert.equal(closed, [1]);
  const other = open();
  other.pool.release(taken(other.pool));
  other.pool.close();
  assert.equal(other.closed, [1]);
});

test('do work at once when one is free, and otherwise in order', async () => {
  const { pool } = open({ limit: 1 });
  assert.is(
    pool.use(() => 'at once'),
    'at once',
  );
  const order: string[] = [];
  const running = ['first', 'second', 'third'].map(async (name) =>
    pool.use(async () => {
      await new Promise(setImmediate);
      order.push(name);
    }),
  );
  await deadline(10_000, Promise.all(running), 'the work');
  assert.equal(order, ['first', 'second', 'third']);
});

test('are closed after an error that shows their loss, and reused after others', async () => {
  const lost = [
    'CKR_SESSION_HANDLE_INVALID',
    'CKR_SESSION_CLOSED',
    'CKR_USER_NOT_LOGGED_IN',
    'CKR_OPERATION_ACTIVE',
    'CKR_OPERATION_NOT_INITIALIZED',
  ];
  for (const name of [...lost, 'CKR_KEY_HANDLE_INVALID']) {
    for (const isLater of [false, true]) {
      const { pool, closed } = open({ limit: 1 });
      const fail = () => {
        throw new CkrError(name, 'C_SignInit');
      };
      const failure = (async () => pool.use(isLater ? async () => fail() : fail))();
      assert.match(await failure.catch((error: unknown) => String(error)), name);
      assert.equal(closed, lost.includes(name) ? [1] : []);
      assert.ok(pool.take(), 'another one, or the same');
    }
  }
});

test('are not given to work that a closed pool has promised them', async () => {
  const { pool, closed } = open({ limit: 1 });
  const only = taken(pool);
  let isDone = false;
  const waits = (async () => pool.use(() => void (isDone = true)))().catch(
    (error: unknown) => error,
  );
  pool.release(only);
  pool.close();
  assert.ok(isLost(await deadline(10_000, waits, 'the loss')));
  assert.not(isDone);
  assert.equal(closed, [1]);
});

test('whose call does not return are neither reused nor closed, and count', () => {
  const { pool, opened, closed, stuck } = open({ limit: 2 });
  const [first, second] = [taken(pool), taken(pool)];
  for (const session of [first, second]) {
    Object.defineProperty(session, 'isStuck', { value: true });
    pool.release(session);
  }
  assert.equal(stuck, [false, true]);
  assert.is(pool.take(), undefined);
  pool.close();
  assert.equal([opened.length, closed.length], [2, 0]);
});

test('know the speed of at most 1000 keys, until they are closed', () => {
  const { pool } = open();
  const handle = (number: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(number);
    return bytes;
  };
  const [first, second] = [pool.policy(handle(0)), pool.policy(handle(1))];
  assert.is(pool.policy(handle(0)), first);
  for (let number = 2; number <= 1000; number++) pool.policy(handle(number));
  assert.is(pool.policy(handle(1)), second);
  assert.is.not(pool.policy(handle(0)), first);
});

test.run();
