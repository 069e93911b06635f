import type { Via } from '../../dbus/client/via.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { KeyLookup, SigningKeys } from './keys-client.ts';

const lookupMs = 10_000;
const absentMs = 30_000;
const unknownMs = 5000;

/** A certificate and the key that it is stored with, `` when it is stored with none. */
export interface KeyedCertificate {
  /** The id of the certificate, which is likely to be that of its key, too. */
  readonly id: string;
  readonly certificate: Certificate;
  readonly storedKeyId: string;
}

/** The pause after a lookup that found nothing. */
interface Pause {
  readonly since: number;
  readonly pauseMs: number;
}

/**
 * Finds the keys of certificates by their public halves. Any process may read a certificate, so concurrent requests
 * share a lookup, and one that found nothing is followed by a pause.
 */
export class KeyFinder {
  readonly #keys: SigningKeys;
  readonly #now: () => Date;
  /** By the fingerprint of the certificate, as the two below. */
  readonly #found = new Map<string, string>();
  readonly #pending = new Map<string, Promise<string>>();
  readonly #pauses = new Map<string, Pause>();
  /** By id and certificate: those whose stored key was observed to match, and the replacements of stored keys. */
  readonly #confirmed = new Set<string>();
  readonly #replaced = new Map<string, string>();
  #isOutdated = false;

  constructor(keys: SigningKeys, now: () => Date) {
    this.#keys = keys;
    this.#now = now;
  }

  /** Whether the last lookup could not reach every key. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** The cached key, else ``. */
  known(certificate: Certificate | undefined): string {
    return this.#found.get(certificate?.fingerprint ?? '') ?? '';
  }

  /** The replacement of a stored key that was changed or deleted, `` without one; undefined when the key is valid. */
  replacementOf(id: string, certificate: Certificate | undefined): string | undefined {
    return this.#replaced.get(`${id} ${certificate?.fingerprint ?? ''}`);
  }

  /** The replacement of the stored key, else that, else the cached key, else ``. */
  keyIdOf({
    id,
    certificate,
    storedKeyId,
  }: Omit<KeyedCertificate, 'certificate'> & {
    readonly certificate: Certificate | undefined;
  }): string {
    if (storedKeyId === '') return this.known(certificate);
    return this.replacementOf(id, certificate) ?? storedKeyId;
  }

  /** Evicts a key that turned out to be replaced. */
  evict({ fingerprint }: Certificate): void {
    this.#found.delete(fingerprint);
  }

  /**
   * Looks up the keys of all these certificates again. When the Keys service or a key is unreachable, the previous
   * result stays.
   */
  async refresh(certificates: readonly KeyedCertificate[], via: Via): Promise<void> {
    const lookup = this.#keys.lookup(via);
    this.#isOutdated = false;
    for (const keyed of certificates) {
      try {
        if (keyed.storedKeyId === '') await this.#refreshFound(keyed, lookup);
        else await this.#refreshStored(keyed, lookup);
      } catch {
        this.#isOutdated = true; // a signal announces the return of the Keys service
        return;
      }
    }
  }

  /** The key, or `` without one; tries the likely id first. Rejects when the Keys service is unreachable. */
  async find(certificate: Certificate, likely: string, via: Via): Promise<string> {
    const found = (await this.#keys.lookup(via).find(certificate.spki, [likely])) ?? '';
    if (found !== '') this.#found.set(certificate.fingerprint, found);
    return found;
  }

  /**
   * As `find`, for requests of any process: `` also when the Keys service is unreachable, and during a pause. A shared
   * lookup serves the request that started it.
   */
  async findSparingly(
    certificate: Certificate,
    likely: string,
    requestId: string,
  ): Promise<string> {
    const { fingerprint } = certificate;
    const known = this.known(certificate);
    if (known !== '' || this.#isPausing(fingerprint)) return known;
    const lookup = this.#pending.get(fingerprint) ?? this.#lookUp(certificate, likely, requestId);
    this.#pending.set(fingerprint, lookup);
    return lookup;
  }

  /** A clock that is set back ends a pause, which could otherwise last indefinitely. */
  #isPausing(fingerprint: string): boolean {
    const pause = this.#pauses.get(fingerprint);
    if (pause === undefined) return false;
    const elapsedMs = this.#now().getTime() - pause.since;
    return elapsedMs >= 0 && elapsedMs < pause.pauseMs;
  }

  async #refreshFound({ id, certificate }: KeyedCertificate, lookup: KeyLookup): Promise<void> {
    const { fingerprint, spki } = certificate;
    const before = this.known(certificate);
    if (before !== '' && (await this.#isValid(before, spki, lookup))) return;
    const found = (await lookup.find(spki, [id])) ?? '';
    this.#pauses.delete(fingerprint);
    if (found === '') this.#found.delete(fingerprint);
    else this.#found.set(fingerprint, found);
  }

  /** A stored id may name a key that does not exist yet: it is replaced only after its key matched, or differs. */
  async #refreshStored(
    { id, certificate: { fingerprint, spki }, storedKeyId }: KeyedCertificate,
    lookup: KeyLookup,
  ): Promise<void> {
    const name = `${id} ${fingerprint}`;
    const state = await lookup.stateOf(storedKeyId, spki);
    if (state === 'unavailable') {
      this.#isOutdated = true;
    } else if (state === 'matches') {
      this.#confirmed.add(name);
      this.#replaced.delete(name);
    } else if (state === 'differs' || this.#confirmed.has(name)) {
      const before = this.#replaced.get(name) ?? '';
      if (before !== '' && (await this.#isValid(before, spki, lookup))) return;
      this.#replaced.set(name, (await lookup.find(spki, [id])) ?? '');
    }
  }

  async #isValid(keyId: string, spki: Buffer, lookup: KeyLookup): Promise<boolean> {
    const state = await lookup.stateOf(keyId, spki);
    if (state === 'unavailable') this.#isOutdated = true;
    return state === 'matches' || state === 'unavailable';
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
      return ''; // certificates are readable without the Keys service
    } finally {
      this.#pauses.set(fingerprint, { since: this.#now().getTime(), pauseMs });
      this.#pending.delete(fingerprint);
    }
  }
}
