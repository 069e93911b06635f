/**
 * Adds keys to a token. A token has no transactions, so the intent is persisted first (`Pending`), and completed or
 * rolled back when the token is next available:
 *
 *   record pending ──► new objects ──► replaced objects destroyed ──► record done
 *         │ no new object found                │ new object found
 *         └► previous record restored          └► continues from there
 */
import type { KeyId } from '../../ids.ts';
import { lossOf, toServiceError } from './library/ckr.ts';
import type { Session } from './library/session.ts';
import type { Token } from './library/token.ts';
import { findAll, findKeys } from './objects.ts';
import type { TokenKeyRecord, TokenKeyRecords } from './records.ts';

/** Adds keys to one token. The caller ensures that one change runs at a time. */
export class TokenJournal {
  readonly #token: Token;
  readonly #records: TokenKeyRecords;

  constructor(token: Token, records: TokenKeyRecords) {
    this.#token = token;
    this.#records = records;
  }

  /** Creates the key of a pending record and deletes the replaced one. After a failure the change is undone, or stays pending until it can be. */
  async add(
    record: TokenKeyRecord,
    create: (session: Session) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#records.put(record.id, record);
    try {
      await this.#token.use(
        () => `cannot make key "${record.id}"`,
        async (session) => {
          try {
            await create(session);
          } catch (error) {
            // the key may exist although the result was lost: only the loss of the session is retried
            throw lossOf(error) === 'session' ? error : toServiceError(error, `key "${record.id}"`);
          }
        },
        signal,
      );
    } catch (error) {
      await this.#abandon(record);
      throw error;
    }
    await this.#settle(record, signal);
  }

  /** Completes or rolls back every pending change. */
  async settleAll(signal: AbortSignal): Promise<void> {
    const pending = this.#records.values().filter((record) => record.pending !== undefined);
    for (const record of pending) await this.#settle(record, signal);
  }

  /** Deletes the objects of a failed creation; if that fails too, the change stays pending. */
  async #abandon(record: TokenKeyRecord): Promise<void> {
    try {
      const signal = AbortSignal.timeout(5_000);
      await this.#destroy(record.id, record.ckaId, signal);
      await this.#settle(record, signal);
    } catch {
      // the caller gets the original failure, and the pending record remains
    }
  }

  async #settle(record: TokenKeyRecord, signal: AbortSignal): Promise<void> {
    const { id, ckaId, pending } = record;
    const exists = await this.#token.use(
      () => `cannot look for key "${id}"`,
      (session) => {
        const found = findKeys(session, { object: id, id: Buffer.from(ckaId, 'hex') }).length > 0;
        if (!found) this.#token.confirmAbsence(session);
        return found;
      },
      signal,
    );
    if (exists) {
      if (pending?.replaces !== undefined) await this.#destroy(id, pending.replaces, signal);
      await this.#records.put(id, { ...record, pending: undefined });
      return;
    }
    await this.#destroy(id, ckaId, signal);
    if (pending?.previous === undefined) await this.#records.delete(id);
    else await this.#records.put(id, pending.previous);
  }

  async #destroy(id: KeyId, ckaId: string, signal: AbortSignal): Promise<void> {
    await this.#token.use(
      () => `cannot remove what is left of key "${id}"`,
      (session) => {
        const named = { label: id, ckaId: Buffer.from(ckaId, 'hex') };
        for (const handle of findAll(session, named)) session.destroy(handle);
      },
      signal,
    );
  }
}
