import type { Via } from '../dbus/via.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { SigningKeys } from './signing-keys.ts';

const lookupMs = 10_000;
const absentMs = 30_000;
const unknownMs = 5000;

/**
 * Which keys belong to certificates, told by their public halves. Anybody may read a certificate, so whoever asks
 * about one while it is looked up joins, and what was not found is not looked for again at once.
 */
export class KeyFinder {
  readonly #keys: SigningKeys;
  readonly #now: () => Date;
  /** By the fingerprint of the certificate, as in the other two. */
  readonly #found = new Map<string, string>();
  readonly #underWay = new Map<string, Promise<string>>();
  readonly #notBefore = new Map<string, number>();

  constructor(keys: SigningKeys, now: () => Date) {
    this.#keys = keys;
    this.#now = now;
  }

  /** The key that was found before, else ``. */
  known(certificate: Certificate | undefined): string {
    return this.#found.get(certificate?.fingerprint ?? '') ?? '';
  }

  /** Forgets a key that turned out to be another one now. */
  forget({ fingerprint }: Certificate): void {
    this.#found.delete(fingerprint);
  }

  /** The key, or `` when there is none; the likely id is tried first. Rejects when the keys cannot be asked. */
  async find(certificate: Certificate, likely: string, via: Via): Promise<string> {
    const found = (await this.#keys.find(certificate.spki, [likely], via)) ?? '';
    if (found !== '') this.#found.set(certificate.fingerprint, found);
    return found;
  }

  /**
   * As `find`, for what anybody may ask: `` also when the keys cannot be asked, or were a moment ago. A lookup that is
   * joined serves the request that began it.
   */
  async findSparingly(
    certificate: Certificate,
    likely: string,
    requestId: string,
  ): Promise<string> {
    const { fingerprint } = certificate;
    const known = this.known(certificate);
    if (known !== '' || this.#now().getTime() < (this.#notBefore.get(fingerprint) ?? 0))
      return known;
    const lookup = this.#underWay.get(fingerprint) ?? this.#lookUp(certificate, likely, requestId);
    this.#underWay.set(fingerprint, lookup);
    return lookup;
  }

  async #lookUp(certificate: Certificate, likely: string, requestId: string): Promise<string> {
    const { fingerprint } = certificate;
    let pauseMs = unknownMs;
    try {
      const via = { requestId, signal: AbortSignal.timeout(lookupMs) };
      const found = await this.find(certificate, likely, via);
      pauseMs = found === '' ? absentMs : 0;
      return found;
    } catch {
      return ''; // the certificate is there whether the Keys service is or not
    } finally {
      this.#notBefore.set(fingerprint, this.#now().getTime() + pauseMs);
      this.#underWay.delete(fingerprint);
    }
  }
}
