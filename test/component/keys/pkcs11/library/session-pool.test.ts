import type { PKCS11 } from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LostError } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import type { Session } from '../../../../../src/keys/pkcs11/library/session.ts';
import { SessionPool } from '../../../../../src/keys/pkcs11/library/session-pool.ts';
import { deadline, soon } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';

const test = suite('sessions with a token');

/** A library that opens sessions up to its limit, and a pool over it. */
function open({ limit = 2, most = 100 } = {}) {
  const opened: number[] = [];
  const closed: number[] = [];
  const api = {
    C_OpenSession: (_slot: Buffer, flags: number) => {
      if (opened.length - closed.length >= most) throw new Error('CKR_SESSION_COUNT');
      opened.push(flags);
      return Buffer.of(opened.length);
    },
    C_CloseSession: (handle: Buffer) => {
      closed.push(handle[0] ?? 0);
    },
  };
  // the methods that a pool calls
  const pool = new SessionPool(api as unknown as PKCS11, {
    slot: Buffer.alloc(8),
    flags: 6,
    limit,
  });
  return { pool, opened, closed };
}

function taken(pool: SessionPool): Session {
  const session = pool.take();
  assert.ok(session);
  return session;
}

const isLost = (error: unknown) => error instanceof LostError && error.loss === 'session';

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
    const session = await pool.wait(soon());
    order.push(name);
    pool.release(session);
  });
  pool.release(only);
  await deadline(10_000, Promise.all(waits), 'the sessions');
  assert.equal(order, ['first', 'second']);
  assert.is(pool.take(), only);
});

test('skip a caller that has left', async () => {
  const { pool } = open({ limit: 1 });
  const only = taken(pool);
  const leaving = new AbortController();
  const left = failureOf(pool.wait(leaving.signal));
  const stays = pool.wait(soon());
  leaving.abort();
  assert.is(await deadline(10_000, left, 'the cancellation'), 'Cancelled');
  assert.is(await failureOf(pool.wait(leaving.signal)), 'Cancelled');
  pool.release(only);
  assert.is(await deadline(10_000, stays, 'the session'), only);
  pool.release(only);
  assert.is(pool.take(), only, 'it is lost to nobody');
});

test('that are broken are closed, and another one is opened for a waiting caller', async () => {
  const { pool, closed } = open({ limit: 1 });
  const broken = taken(pool);
  const waits = pool.wait(soon());
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
  assert.throws(() => none.take(), 'CKR_SESSION_COUNT');
});

test('of a closed pool are closed when they are returned, and waiting callers are rejected', async () => {
  const { pool, closed } = open({ limit: 2 });
  const [busy, free] = [taken(pool), taken(pool)];
  const waits = pool.wait(soon());
  pool.release(free);
  assert.is(await waits, free);
  pool.release(free);
  taken(pool);
  const lost = pool.wait(soon()).catch((error: unknown) => error);
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

test.run();
