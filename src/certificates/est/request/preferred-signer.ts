import { isServiceError } from '../../../errors.ts';
import type { SignatureAlgorithm, Signer } from '../../../x509/algorithm.ts';

/** Signs as a server prefers it, and as usual once the Keys service cannot do that with the key. */
export class PreferredSigner implements Signer {
  #current: Signer;
  readonly #usual: Signer;

  constructor(preferred: Signer, usual: Signer) {
    this.#current = preferred;
    this.#usual = usual;
  }

  /** That of the last signature, or of the first one until there is one. */
  get algorithm(): SignatureAlgorithm {
    return this.#current.algorithm;
  }

  async sign(message: Buffer): Promise<Buffer> {
    try {
      return await this.#current.sign(message);
    } catch (error) {
      if (this.#current === this.#usual || !isServiceError(error, 'NotSupported')) throw error;
      this.#current = this.#usual;
      return this.#usual.sign(message);
    }
  }
}
