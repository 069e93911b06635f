import { isId, parseKeyId } from '../../ids.ts';
import type { Session } from './library/session.ts';
import type { Token } from './library/token.ts';
import { Proofs } from './proofs.ts';
import type { PrivateHalf } from './public-halves.ts';
import type { KeyMetadata, ReadContext } from './token-keys.ts';

/** Each round proves one more candidate of each key, which has at most eight. */
const maxRounds = 10;

/** Reads the keys of tokens synchronously: nothing else in the process runs between the calls of one reading. */
export class TokenReader {
  readonly #metadata: KeyMetadata;
  readonly #proofs = new Map<Token, Proofs>();

  constructor(metadata: KeyMetadata) {
    this.#metadata = metadata;
  }

  /**
   * Passes the result of `find` to `use` synchronously. Repeats `find` after proving which halves of key pairs belong
   * together, where proofs were missing.
   */
  async read<T, R>(
    { session, token }: { readonly session: Session; readonly token: Token },
    find: (context: ReadContext) => T,
    use: (found: T) => R,
  ): Promise<R> {
    const proofs = this.#proofsOf(token);
    for (let round = 1; ; round++) {
      proofs.begin(token.generation);
      const found = find({ metadata: this.#metadata, proofs });
      if (!proofs.isIncomplete || round === maxRounds) return use(found);
      await proofs.complete(session, (loggedIn) => token.logInForOperation(loggedIn));
    }
  }

  #proofsOf(token: Token): Proofs {
    const proofs = this.#proofs.get(token) ?? new Proofs((key) => this.#isOwn(key));
    this.#proofs.set(token, proofs);
    return proofs;
  }

  #isOwn({ label, ckaId }: PrivateHalf): boolean {
    if (!isId(label)) return false;
    const record = this.#metadata.records.get(parseKeyId(label));
    const id = ckaId.toString('hex');
    return record?.ckaId === id || record?.pending?.previous?.ckaId === id;
  }
}
