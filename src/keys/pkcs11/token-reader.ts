import { isId, parseKeyId } from '../../ids.ts';
import type { Session } from './library/session.ts';
import type { Token } from './library/token.ts';
import { Proofs } from './proofs.ts';
import type { PrivateHalf } from './public-halves.ts';
import type { KeyMetadata, ReadContext } from './token-keys.ts';

/** Each round proves one more candidate of each key, of which there are at most eight. */
const maxRounds = 10;

/** Reads the keys of tokens, each as one step: nothing else of the process happens between its first and its last call. */
export class TokenReader {
  readonly #metadata: KeyMetadata;
  readonly #proofs = new Map<Token, Proofs>();

  constructor(metadata: KeyMetadata) {
    this.#metadata = metadata;
  }

  /**
   * What `look` finds, handed to `use` in the same step. It looks again when it had first to be proven which halves
   * of key pairs belong together.
   */
  async read<T, R>(
    { session, token }: { readonly session: Session; readonly token: Token },
    look: (context: ReadContext) => T,
    use: (found: T) => R,
  ): Promise<R> {
    const proofs = this.#proofsOf(token);
    for (let round = 1; ; round++) {
      proofs.begin(token.generation);
      const found = look({ metadata: this.#metadata, proofs });
      if (!proofs.isOpen || round === maxRounds) return use(found);
      await proofs.settle(session, (own) => token.logInForOperation(own));
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
