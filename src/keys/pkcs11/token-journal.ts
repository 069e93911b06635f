/**
 * Adds keys to a token. A token has no transactions, so the intent is persisted first (`Pending`), and completed or
 * rolled back when the token is next available:
 *
 *   record pending ──► new objects ──► replaced objects destroyed ──► record done
 *         │ no new object found                │ new object found
 *         └► previous record restored          └► continues from there
 */
import type { Cancellation } from '../../cancellation.ts';
import type { KeyId } from '../../ids.ts';
import { lossOf, toServiceError } from './library/ckr.ts';
import type { Token } from './library/token.ts';
import type { TokenSessions } from './library/token-sessions.ts';
import { findAll, findKeys } from './reading/objects.ts';
import { readObjects } from './reading/token-view.ts';
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
    create: (sessions: TokenSessions) => Promise<void>,
    signal: Cancellation,
  ): Promise<void> {
    await this.#records.put(record.id, record);
    try {
      await this.#token.use(
        () => `cannot make key "${record.id}"`,
        async (sessions) => {
          try {
            await create(sessions);
          } catch (error) {
            // the key may exist although the result was lost: only the loss of the session is retried
            throw lossOf(error) === 'session' ? error : toServiceError(error, `key "${record.id}"`);
          }
        },
      );
    } catch (error) {
      await this.#abandon(record);
      throw error;
    }
    await this.#settle(record, signal);
  }

  /** Completes or rolls back every pending change. */
  async settleAll(signal: Cancellation): Promise<void> {
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

  async #settle(record: TokenKeyRecord, signal: Cancellation): Promise<void> {
    const { id, ckaId, pending } = record;
    const exists = await this.#token.use(
      () => `cannot look for key "${id}"`,
      async (sessions) => {
        const named = { object: id, id: Buffer.from(ckaId, 'hex') };
        const found = await readObjects(sessions, (view) => findKeys(view, named), signal);
        if (found.length === 0) await this.#token.confirmAbsence();
        return found.length > 0;
      },
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

  async #destroy(id: KeyId, ckaId: string, signal: Cancellation): Promise<void> {
    await this.#token.use(
      () => `cannot remove what is left of key "${id}"`,
      async (sessions) => {
        const named = { label: id, ckaId: Buffer.from(ckaId, 'hex') };
        const handles = await readObjects(sessions, (view) => findAll(view, named), signal);
        await sessions.destroy(handles);
      },
    );
  }
}
