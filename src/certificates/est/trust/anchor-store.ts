import { createHash } from 'node:crypto';
import { type CertificateId, isId, parseCertificateId } from '../../../ids.ts';
import { Mutex } from '../../../service/mutex.ts';
import { jsonRecords, RecordDirectory } from '../../../service/state/record-directory.ts';
import { type Certificate, parseCertificate } from '../../../x509/certificate.ts';
import { type Lesson, learn, type TaughtAnchors, type Vouchers } from './anchors.ts';

/** The settings with which anchors were learned: when they change, the anchors are forgotten. */
export interface AnchorSource {
  readonly url: string;
  /** The files of `trusted_ca`. */
  readonly trustedCa: readonly string[];
}

interface AnchorRecord {
  readonly source: AnchorSource;
  readonly taught: TaughtAnchors;
}

const kinds = {
  roots: 'roots',
  topmost: 'topmost',
  newWithOld: 'new_with_old',
  intermediates: 'intermediates',
} as const;

/** The trust anchors that EST servers have taught: a directory with a file for each issuer. */
export class AnchorStore {
  readonly #directory: RecordDirectory<CertificateId, AnchorRecord>;
  readonly #mutex = new Mutex();

  private constructor(directory: RecordDirectory<CertificateId, AnchorRecord>) {
    this.#directory = directory;
  }

  static async open(path: string): Promise<AnchorStore> {
    const form = jsonRecords({ parseId: parseCertificateId, parse: parseRecord, format });
    return new AnchorStore(await RecordDirectory.open<CertificateId, AnchorRecord>(path, form));
  }

  /** The anchors of an issuer, undefined when nothing was taught with these settings. */
  taughtBy(issuer: string, source: AnchorSource): TaughtAnchors | undefined {
    const record = this.#directory.get(fileIdOf(issuer));
    return record !== undefined && isSame(record.source, source) ? record.taught : undefined;
  }

  /** Learns from an answer of cacerts, and persists that before it counts. Unavailable when that fails. */
  learn(
    issuer: string,
    source: AnchorSource,
    offered: readonly Certificate[],
    vouchers: Vouchers,
  ): Promise<Lesson> {
    return this.#mutex.run(async () => {
      const before = this.taughtBy(issuer, source);
      const lesson = learn(before, offered, vouchers);
      // nothing is taught by an answer without a CA
      if (before === undefined && lesson.added.length === 0) return lesson;
      const record = { source, taught: lesson.taught };
      const isKnown =
        before !== undefined &&
        JSON.stringify(format(record)) === JSON.stringify(format({ source, taught: before }));
      if (!isKnown) await this.#directory.put(fileIdOf(issuer), record);
      return lesson;
    });
  }
}

/** The name of an issuer is any text of the configuration. */
function fileIdOf(issuer: string): CertificateId {
  if (isId(issuer)) return parseCertificateId(issuer);
  return parseCertificateId(`sha256:${createHash('sha256').update(issuer).digest('hex')}`);
}

function isSame(one: AnchorSource, other: AnchorSource): boolean {
  return JSON.stringify([one.url, one.trustedCa]) === JSON.stringify([other.url, other.trustedCa]);
}

function format({ source, taught }: AnchorRecord): object {
  return {
    url: source.url,
    trusted_ca: source.trustedCa,
    ...Object.fromEntries(
      Object.entries(kinds).map(([kind, name]) => [
        name,
        taught[kind as keyof TaughtAnchors].map(({ der }) => der.toString('base64')),
      ]),
    ),
  };
}

function parseRecord(value: unknown): AnchorRecord {
  const fields = new Map<string, unknown>(Object.entries(value ?? {}));
  const url = fields.get('url');
  if (typeof url !== 'string') throw new TypeError('it has no url');
  const certificatesOf = (name: string): readonly Certificate[] =>
    textsOf(fields.get(name)).map((text, at) =>
      parseCertificate(Buffer.from(text, 'base64'), `${name} ${at + 1}`),
    );
  return {
    source: { url, trustedCa: textsOf(fields.get('trusted_ca')) },
    taught: {
      roots: certificatesOf(kinds.roots),
      topmost: certificatesOf(kinds.topmost),
      newWithOld: certificatesOf(kinds.newWithOld),
      intermediates: certificatesOf(kinds.intermediates),
    },
  };
}

function textsOf(value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
    throw new TypeError('it is not a list of texts');
  }
  return value;
}
