/** Keeps the files of the certificates that are published equal to their records. */
import { setTimeout } from 'node:timers/promises';
import { describeError, isServiceError, ServiceError, systemCode } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import { keyPem } from '../../native/provider.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import { parseCertificatesPem } from '../../x509/certificate.ts';
import { graceMs } from '../renewal/next-step.ts';
import { type Disk, PublishedFiles } from './published-files.ts';

/** The certificates, and which of them are published where. */
export interface PublishedSource {
  readonly directory: string;
  /** Whether all records could be listed: until then none is taken for deleted. */
  readonly isListed: boolean;
  /** The certificates that the configuration publishes. */
  ids(): readonly CertificateId[];
  /** As GetCertificate. */
  get(id: CertificateId): Promise<{ readonly chain_pem: string; readonly key_id: string }>;
  /** As GetTrustBundle. */
  trustBundle(): Promise<string>;
}

/** The parts of `Publishing`. */
export interface PublishingOptions {
  /** Under the configuration in force. */
  readonly source: () => PublishedSource;
  /** Called with what could not be published, after each attempt. */
  readonly onProblems: (problems: readonly string[]) => void;
  readonly log: Log;
  readonly now: () => Date;
  readonly disk?: Disk;
}

/** For so long a caller waits for the files of its certificate. */
const settleMs = 1000;

/** What a pass compares with the records: some certificates, or all and what is left of others. */
type Request = ReadonlySet<CertificateId> | 'all';

/** One pass at a time. What fails is reported, fails nothing else, and is retried with the next request for all. */
export class Publishing implements AsyncDisposable {
  readonly #options: PublishingOptions;
  #isStarted = false;
  #requested: Request = new Set();
  #pass: Promise<void> | undefined;
  #files: PublishedFiles | undefined;
  #bundle: string | undefined;
  /** The keys are ids, or paths. */
  readonly #problems = new Map<string, string>();

  constructor(options: PublishingOptions) {
    this.#options = options;
  }

  /** Whether a pass is in progress. */
  get isBusy(): boolean {
    return this.#pass !== undefined;
  }

  /** Begins to publish, all of them first. */
  start(): void {
    this.#isStarted = true;
    this.request();
  }

  /** Publishes a certificate, or removes it, as its record and the configuration say; all of them without an id. */
  request(id?: CertificateId): void {
    if (!this.#isStarted) return;
    const requested = this.#requested;
    this.#requested = id === undefined || requested === 'all' ? 'all' : new Set([...requested, id]);
    this.#pass ??= this.#run().finally(() => {
      this.#pass = undefined;
    });
  }

  /** Resolves when everything that was requested has been attempted, after a second at the latest. */
  async settled(): Promise<void> {
    if (this.#pass === undefined) return;
    const ended = new AbortController();
    const limit = setTimeout(settleMs, undefined, { ref: false, signal: ended.signal });
    await Promise.race([this.#pass, limit.catch(() => undefined)]);
    ended.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStarted = false;
    this.#requested = new Set();
    await this.#pass;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // the caller may change more in this turn
    for (let next = this.#take(); next === 'all' || next.size > 0; next = this.#take()) {
      await this.#publish(next);
      this.#options.onProblems([...this.#problems.values()]);
    }
  }

  #take(): Request {
    const next = this.#requested;
    this.#requested = new Set();
    return next;
  }

  async #publish(requested: Request): Promise<void> {
    const source = this.#options.source();
    if (!source.isListed) return; // which is reported already
    const before = this.#files;
    if (before !== undefined && before.directory !== source.directory) {
      await this.#attempt(before.directory, async () => {
        if (await before.exists()) await this.#sync(before, source, { ids: [] });
      });
      this.#files = undefined;
    }
    const { disk, now } = this.#options;
    const { directory } = source;
    const files = (this.#files ??= new PublishedFiles({
      directory,
      graceMs,
      now,
      ...(disk && { disk }),
    }));
    const ids = source.ids();
    for (const key of this.#problems.keys()) {
      if (key !== directory && !ids.some((id) => id === key)) this.#problems.delete(key);
    }
    if (ids.length === 0 && !(await files.exists())) {
      this.#problems.delete(directory);
      return;
    }
    await this.#attempt(directory, async () => {
      const bundle = ids.length === 0 ? '' : await trustBundleOf(source);
      const isAll = requested === 'all' || this.#bundle !== bundle;
      this.#bundle = bundle;
      await this.#sync(files, source, { ids, bundle, only: isAll ? undefined : requested });
    });
  }

  async #sync(
    files: PublishedFiles,
    source: PublishedSource,
    { ids, bundle = '', only }: SyncOptions,
  ): Promise<void> {
    const { log } = this.#options;
    const present = await files.open();
    for (const id of ids) {
      if (only !== undefined && !only.has(id)) continue;
      await this.#attempt(id, async () => {
        const content = await contentOf(id, bundle, source);
        if (content !== undefined && (await files.put(id, content))) {
          log.info('certificate published', { certificateId: id, directory: files.directory });
        }
      });
    }
    for (const id of present) {
      if (ids.some((one) => one === id)) continue;
      await this.#attempt(id, async () => {
        if (await files.remove(id)) {
          log.info('certificate no longer published', { certificateId: id });
        }
      });
    }
    await files.tidy();
  }

  async #attempt(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
      this.#problems.delete(what);
    } catch (error) {
      const problem = problemOf(what, error);
      if (this.#problems.get(what) !== problem) {
        this.#options.log.error('certificate not published', { error: problem });
      }
      this.#problems.set(what, problem);
    }
  }
}

interface SyncOptions {
  readonly ids: readonly CertificateId[];
  readonly bundle?: string;
  readonly only?: ReadonlySet<CertificateId> | undefined;
}

/** The files of a certificate; undefined while it cannot be read: then what is published stays. */
async function contentOf(
  id: CertificateId,
  bundle: string,
  source: PublishedSource,
): Promise<ReadonlyMap<string, string> | undefined> {
  const certificate = await source.get(id).catch((error: unknown) => {
    // damaged, which is reported already, not yet issued, or deleted meanwhile, which is a request of its own
    if (isServiceError(error)) return undefined;
    throw error;
  });
  if (certificate === undefined) return undefined;
  const { chain_pem: chain, key_id: keyId } = certificate;
  const [leaf] = parseCertificatesPem(Buffer.from(chain), id);
  if (leaf === undefined || keyId === '') {
    throw new ServiceError('NotFound', 'no key of it is known');
  }
  return new Map([
    ['fullchain.pem', chain],
    ['key.pem', keyPem(keyId, leaf.spki)],
    ['bundle.pem', bundle],
  ]);
}

/** The trust bundle; empty without one, which Health reports. */
async function trustBundleOf(source: PublishedSource): Promise<string> {
  try {
    return await source.trustBundle();
  } catch (error) {
    if (isServiceError(error)) return '';
    throw error;
  }
}

function problemOf(what: string, error: unknown): string {
  const code = systemCode(error);
  const isReadOnly = code === 'EROFS';
  const advice = isReadOnly ? ': ReadWritePaths= of iotedge-certificates.service names it' : '';
  const subject = what.startsWith('/') ? `publish_dir ${what}` : `the certificate ${quoted(what)}`;
  return `${subject} is not published: ${describeError(error)}${advice}`;
}
