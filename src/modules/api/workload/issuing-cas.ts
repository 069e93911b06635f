/**
 * The CAs that issued certificates of modules. Modules trust them until the last of those has expired: a module that
 * serves with a certificate of the CA before a renewal is trusted by all others, and none has to be restarted. These are
 * CAs of the trust bundle only, never one between those and a module: servers present it, and OpenSSL finds no issuers
 * outside of the bundle for a certificate that is in it.
 */
import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import {
  parseStateJson,
  readStateFile,
  writeStateFile,
} from '../../../service/state/state-file.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  isIssuedBy,
  parseCertificatesPem,
} from '../../../x509/certificate.ts';

const dayMs = 86_400_000;
/** More than are renewed while a certificate is valid; the one that is needed for the shortest time is dropped. */
const maxCas = 8;

interface IssuingCa {
  readonly certificate: Certificate;
  /** When the last certificate has expired, in milliseconds. */
  readonly until: number;
}

/** The CAs, in a file of the state directory. */
export class IssuingCas {
  readonly #path: string;
  readonly #now: () => Date;
  readonly #log: Log;
  readonly #cas = new Map<string, IssuingCa>();
  /** False for a file that is damaged, which is not replaced. */
  #isWritable = true;
  #completed: { readonly pem: string; readonly whole: string; readonly until: number } | undefined;

  private constructor(path: string, { now, log }: { readonly now: () => Date; readonly log: Log }) {
    this.#path = path;
    this.#now = now;
    this.#log = log;
  }

  /** Reads the file. One that is damaged is reported, and left alone. */
  static async open(
    path: string,
    parts: { readonly now: () => Date; readonly log: Log },
  ): Promise<IssuingCas> {
    const cas = new IssuingCas(path, parts);
    try {
      const content = await readStateFile(path);
      const form = { parse: parseCas, mayLackVersion: false };
      const found = content === undefined ? [] : parseStateJson(path, content, form);
      for (const ca of found) cas.#cas.set(ca.certificate.fingerprint, ca);
    } catch (error) {
      cas.#isWritable = false;
      parts.log.error('CAs of modules not restored', { error: describeError(error) });
    }
    return cas;
  }

  /** Notes the CA of a certificate that was issued to a module, if modules trust it. */
  async note(chainPem: string, bundle: () => Promise<string>): Promise<void> {
    try {
      const [leaf, ...issuers] = parseCertificatesPem(Buffer.from(chainPem), 'the chain');
      if (leaf === undefined || issuers.some((one) => this.#lasts(one, leaf))) return;
      const chain = [leaf, ...issuers];
      const trusted = parseCertificatesPem(Buffer.from(await bundle()), 'the trust bundle');
      const anchors = trusted.filter((anchor) =>
        chain.some((one) => one.fingerprint === anchor.fingerprint || isIssuedBy(one, anchor)),
      );
      const isChanged = anchors.map((anchor) => this.#keep(anchor, leaf)).includes(true);
      if (isChanged) await this.#write();
    } catch (error) {
      // the certificate is good all the same
      this.#log.warn('CA of a module not recorded', { error: describeError(error) });
    }
  }

  /** A trust bundle, and those CAs that it lacks and that are still needed. */
  complete(pem: string): string {
    const now = this.#now().getTime();
    if (this.#cas.size === 0) return pem;
    const known = this.#completed;
    if (known?.pem === pem && now < known.until) return known.whole;
    const needed = [...this.#cas.values()].filter(({ until }) => until > now);
    const until = Math.min(...needed.map((ca) => ca.until));
    const present = new Set(
      parseCertificatesPem(Buffer.from(pem), 'the trust bundle').map((one) => one.fingerprint),
    );
    const missing = needed.filter(({ certificate }) => !present.has(certificate.fingerprint));
    const former = encodeCertificatesPem(missing.map(({ certificate }) => certificate));
    const whole = former === '' ? pem : `${pem}${pem.endsWith('\n') ? '' : '\n'}${former}`;
    this.#completed = { pem, whole, until };
    return whole;
  }

  #lasts({ fingerprint }: Certificate, leaf: Certificate): boolean {
    const until = this.#cas.get(fingerprint)?.until ?? 0;
    return until >= leaf.notAfter.getTime();
  }

  /** Notes it for a day longer than necessary, so that it is written once a day. */
  #keep(certificate: Certificate, leaf: Certificate): boolean {
    if (this.#lasts(certificate, leaf)) return false;
    const until = leaf.notAfter.getTime() + dayMs;
    this.#cas.set(certificate.fingerprint, { certificate, until });
    this.#completed = undefined;
    const now = this.#now().getTime();
    const oldestFirst = [...this.#cas].toSorted(([, a], [, b]) => a.until - b.until);
    for (const [index, [fingerprint, ca]] of oldestFirst.entries()) {
      if (ca.until <= now || index < oldestFirst.length - maxCas) this.#cas.delete(fingerprint);
    }
    return true;
  }

  async #write(): Promise<void> {
    if (!this.#isWritable) return;
    const cas = [...this.#cas.values()].map(({ certificate, until }) => ({
      certificate: encodeCertificatesPem([certificate]),
      until: new Date(until).toISOString(),
    }));
    await writeStateFile(this.#path, JSON.stringify({ version: 1, cas }));
  }
}

function parseCas(value: unknown): readonly IssuingCa[] {
  const list = membersOf(value).get('cas');
  if (!Array.isArray(list)) throw new TypeError('it has no list');
  return list.map((each: unknown) => {
    const members = membersOf(each);
    const pem = Buffer.from(String(members.get('certificate')));
    const [certificate] = parseCertificatesPem(pem, 'a CA');
    const until = new Date(String(members.get('until'))).getTime();
    if (certificate === undefined || Number.isNaN(until)) throw new TypeError('a CA has no time');
    return { certificate, until };
  });
}

function membersOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}
