/**
 * Putting keys into a token. A token has no transactions, so what is about to happen is written
 * down first (`Pending`) and finished or rolled back when the token is next seen:
 *
 *   record pending ──► new objects ──► replaced objects destroyed ──► record done
 *         │ no new object found                │ new object found
 *         └► the record as it was before       └► goes on from there
 */
import type { KeyId } from '../../ids.ts';
import { lossOf, toServiceError } from './library/ckr.ts';
import type { Session } from './library/session.ts';
import type { Token } from './library/token.ts';
import { findAll, findKeys } from './objects.ts';
import type { TokenKeyRecord, TokenKeyRecords } from './records.ts';

/** Puts keys into one token; its caller sees to it that there is one change at a time. */
export class TokenJournal {
  readonly #token: Token;
  readonly #records: TokenKeyRecords;

  constructor(token: Token, records: TokenKeyRecords) {
    this.#token = token;
    this.#records = records;
  }

  /** Makes what a pending record announces, and what it replaces goes; after a failure all is as before. */
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
            // perhaps the key was made although the answer was lost: only a lost session is tried again.
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

  /** Finishes or rolls back every change that is not over. */
  async settleAll(signal: AbortSignal): Promise<void> {
    const pending = this.#records.values().filter((record) => record.pending !== undefined);
    for (const record of pending) await this.#settle(record, signal);
  }

  /** Removes what a failed attempt made; what cannot be removed now is settled later. */
  async #abandon(record: TokenKeyRecord): Promise<void> {
    try {
      const signal = AbortSignal.timeout(5_000);
      await this.#destroy(record.id, record.ckaId, signal);
      await this.#settle(record, signal);
    } catch {
      // the failure that led here is the one to report, and the record says what is left to do.
    }
  }

  async #settle(record: TokenKeyRecord, signal: AbortSignal): Promise<void> {
    const { id, ckaId, pending } = record;
    const isThere = await this.#token.use(
      () => `cannot look for key "${id}"`,
      (session) => {
        const found = findKeys(session, { object: id, id: Buffer.from(ckaId, 'hex') }).length > 0;
        if (!found) this.#token.confirmAbsence(session);
        return found;
      },
      signal,
    );
    if (isThere) {
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
