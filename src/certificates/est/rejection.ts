import { withoutSecrets } from '../../quoted.ts';
import type { Answer } from '../issuers/issuer.ts';

/** Why an EST server rejected an order. */
export class Rejection extends Error {
  override readonly name = 'Rejection';
  readonly isFinal: boolean;
  readonly retryAfterS: number | undefined;

  constructor(
    reason: string,
    {
      isFinal = false,
      retryAfterS,
      cause,
    }: {
      readonly isFinal?: boolean;
      readonly retryAfterS?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    // a server may repeat what it was sent
    super(withoutSecrets(reason), { cause });
    this.isFinal = isFinal;
    this.retryAfterS = retryAfterS;
  }

  /** The same with more of the reason. */
  with(more: string): Rejection {
    const { isFinal, retryAfterS } = this;
    return new Rejection(`${this.message}${more}`, {
      isFinal,
      ...(retryAfterS !== undefined && { retryAfterS }),
      cause: this,
    });
  }

  toAnswer(): Extract<Answer, { kind: 'rejected' }> {
    const { message: reason, isFinal, retryAfterS } = this;
    return { kind: 'rejected', reason, isFinal, retryAfterS };
  }
}
