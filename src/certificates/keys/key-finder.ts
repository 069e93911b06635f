import type { Via } from '../../dbus/client/via.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { KeyLookup, SigningKeys } from './keys-client.ts';

const lookupMs = 10_000;
const absentMs = 30_000;
const unknownMs = 5000;

/** A certificate and the key that it is stored with, `` when it is stored with none. */
export interface KeyedCertificate {
  /** Its own id, which its key is likely to have too. */
  readonly id: string;
  readonly certificate: Certificate;
  readonly storedKeyId: string;
}

/** After a lookup that found nothing, the next one begins when this has passed. */
interface Pause {
  readonly since: number;
  readonly pauseMs: number;
}

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
  readonly #pauses = new Map<string, Pause>();
  /** By the id and the certificate, where the stored key was seen to be its own, or what is in its place since. */
  readonly #confirmed = new Set<string>();
  readonly #replaced = new Map<string, string>();
  #isOutdated = false;

  constructor(keys: SigningKeys, now: () => Date) {
    this.#keys = keys;
    this.#now = now;
  }

  /** Whether keys were out of reach when they were looked up last. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** The key that was found before, else ``. */
  known(certificate: Certificate | undefined): string {
    return this.#found.get(certificate?.fingerprint ?? '') ?? '';
  }

  /** What took the place of a stored key that is another one now or gone, `` when nothing did; undefined when it stands. */
  replacementOf(id: string, certificate: Certificate | undefined): string | undefined {
    return this.#replaced.get(`${id} ${certificate?.fingerprint ?? ''}`);
  }

  /** Forgets a key that turned out to be another one now. */
  forget({ fingerprint }: Certificate): void {
    this.#found.delete(fingerprint);
  }

  /**
   * Looks the keys of all these certificates up again. Where the keys cannot be asked, and for a key that is out of
   * reach, what was found before stays.
   */
  async refresh(certificates: readonly KeyedCertificate[], via: Via): Promise<void> {
    const lookup = this.#keys.lookup(via);
    this.#isOutdated = false;
    for (const keyed of certificates) {
      try {
        if (keyed.storedKeyId === '') await this.#refreshFound(keyed, lookup);
        else await this.#refreshStored(keyed, lookup);
      } catch {
        this.#isOutdated = true; // the Keys service is away, and emits when it is back
        return;
      }
    }
  }

  /** The key, or `` when there is none; the likely id is tried first. Rejects when the keys cannot be asked. */
  async find(certificate: Certificate, likely: string, via: Via): Promise<string> {
    const found = (await this.#keys.lookup(via).find(certificate.spki, [likely])) ?? '';
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
    if (known !== '' || this.#isPausing(fingerprint)) return known;
    const lookup = this.#underWay.get(fingerprint) ?? this.#lookUp(certificate, likely, requestId);
    this.#underWay.set(fingerprint, lookup);
    return lookup;
  }

  /** A clock that was set back ends a pause: it could last for as long as the clock was wrong. */
  #isPausing(fingerprint: string): boolean {
    const pause = this.#pauses.get(fingerprint);
    if (pause === undefined) return false;
    const elapsedMs = this.#now().getTime() - pause.since;
    return elapsedMs >= 0 && elapsedMs < pause.pauseMs;
  }

  async #refreshFound({ id, certificate }: KeyedCertificate, lookup: KeyLookup): Promise<void> {
    const { fingerprint, spki } = certificate;
    const before = this.known(certificate);
    if (before !== '' && (await this.#stands(before, spki, lookup))) return;
    const found = (await lookup.find(spki, [id])) ?? '';
    this.#pauses.delete(fingerprint);
    if (found === '') this.#found.delete(fingerprint);
    else this.#found.set(fingerprint, found);
  }

  /** A stored id may name a key that is still to be made: it is replaced only when its key was there, or is another's. */
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
      if (before !== '' && (await this.#stands(before, spki, lookup))) return;
      this.#replaced.set(name, (await lookup.find(spki, [id])) ?? '');
    }
  }

  async #stands(keyId: string, spki: Buffer, lookup: KeyLookup): Promise<boolean> {
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
      return ''; // the certificate is there whether the Keys service is or not
    } finally {
      this.#pauses.set(fingerprint, { since: this.#now().getTime(), pauseMs });
      this.#underWay.delete(fingerprint);
    }
  }
}
