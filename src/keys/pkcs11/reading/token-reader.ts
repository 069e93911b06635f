import type { Cancellation } from '../../../cancellation.ts';
import { isId, parseKeyId } from '../../../ids.ts';
import { LostError } from '../library/ckr.ts';
import type { Token } from '../library/token.ts';
import type { TokenSessions } from '../library/token-sessions.ts';
import type { KeyMetadata, ReadContext } from '../token-keys.ts';
import { type ProofReading, Proofs } from './proofs.ts';
import type { PrivateHalf } from './public-halves.ts';
import { completed, type ObjectView, TokenView } from './token-view.ts';

/** Each round proves one more candidate of each key, which has at most eight. */
const maxRounds = 10;

/** Reads the keys of tokens. */
export class TokenReader {
  readonly #metadata: KeyMetadata;
  readonly #proofs = new Map<Token, Proofs>();

  constructor(metadata: KeyMetadata) {
    this.#metadata = metadata;
  }

  /**
   * Returns the result of `find`, which reads objects, and the generation of its handles. Repeats it after proving which
   * halves of key pairs belong together, where proofs were missing; what was fetched stays.
   */
  async read<T>(
    { sessions, token }: { readonly sessions: TokenSessions; readonly token: Token },
    find: (view: ObjectView, context: ReadContext) => T,
    signal?: Cancellation,
  ): Promise<{ readonly found: T; readonly generation: number }> {
    const { generation } = token;
    const proofs = this.#proofsOf(token);
    const view = new TokenView();
    for (let round = 1; ; round++) {
      let reading: ProofReading | undefined;
      const readOnce = (): T => {
        reading = proofs.begin(generation);
        return find(view, { metadata: this.#metadata, proofs: reading });
      };
      const found = await completed(view, sessions, { read: readOnce, signal });
      // handles of an older generation may be those of other objects now
      if (token.generation !== generation) throw new LostError('reading');
      if (reading?.isIncomplete !== true || round === maxRounds) return { found, generation };
      await reading.complete(sessions, token);
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
