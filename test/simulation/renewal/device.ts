import { createHash, generateKeyPairSync } from 'node:crypto';
import type { CertificateEntry } from '../../../src/certificates/certificate-entry.ts';
import type { Answer, Issuer } from '../../../src/certificates/issuers/issuer.ts';
import type { KeyLookup, OrderKeys } from '../../../src/certificates/keys/keys-client.ts';
import { Executor } from '../../../src/certificates/renewal/executor.ts';
import type { OrderRule } from '../../../src/certificates/renewal/order-rule.ts';
import { remainderOf } from '../../../src/certificates/renewal/records.ts';
import { ServiceError } from '../../../src/errors.ts';
import { type CertificateId, parseCertificateId } from '../../../src/ids.ts';
import { spkiOf } from '../../../src/x509/algorithm.ts';
import type { Certificate } from '../../../src/x509/certificate.ts';
import { encodeName } from '../../../src/x509/name.ts';
import { silentLog } from '../../support/log.ts';
import { via } from '../../support/via.ts';
import {
  type Conditions,
  changesOf,
  clockError,
  isDecided,
  isReachable,
  type Period,
} from './conditions.ts';

/** The service checks at least this often what is due, as a step of the clock is seen by nothing else. */
const checkMs = 60_000;
/** Issuers date certificates back, for clocks that are behind. */
const datedBackMs = 300_000;
const unreachable = new ServiceError('Unavailable', 'the issuer cannot be reached');
const id = parseCertificateId('device');
const spki = spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);

/** A certificate that was current for some time. */
export interface Use extends Period {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What happened on a device. */
export interface History {
  /** In order, without gaps. */
  readonly uses: readonly Use[];
  /** When the issuer was asked, reached or not. */
  readonly requests: readonly number[];
  /** Keys that exist at the end. */
  readonly keys: number;
}

/** The parts of a simulated device. */
export interface DeviceOptions {
  readonly name: string;
  readonly rule: OrderRule;
  readonly conditions: Conditions;
  readonly from: number;
  readonly to: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** The executor of the service with a record in memory, keys that cost nothing, and an issuer; time jumps. */
export class Device implements Issuer {
  readonly #options: DeviceOptions;
  readonly #executor: Executor;
  readonly #keys = new Set<string>();
  readonly #uses: Use[] = [];
  readonly #requests: number[] = [];
  #record: CertificateEntry | undefined;
  /** The true time. */
  #now: number;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#now = options.from;
    this.#executor = new Executor({
      records: {
        get: () => this.#record,
        ids: () => [id],
        replace: async (before, next) => this.#replace(before, next),
        change: async (_id, by) => {
          const next = by(this.#record);
          return next !== undefined && this.#replace(this.#record, next);
        },
      },
      keys: this.#orderKeys(),
      issuing: () => ({ ruleOf: () => options.rule, issuerOf: () => this }),
      onFailure: () => undefined,
      log: silentLog,
      now: () => new Date(this.#clock),
      random: options.random,
    });
  }

  /** Lets the time pass. */
  async run(): Promise<History> {
    const { rule, conditions, to } = this.#options;
    await this.#executor.order(id, () => ({ rule, isNewKey: undefined }), via);
    const changes = changesOf(conditions);
    while (this.#now < to) {
      await this.#executor.advance(id, via);
      await this.#executor.tidy(id, via);
      const change = changes.find((one) => one > this.#now);
      this.#now = Math.min(this.#due(), change === undefined ? to : change + checkMs, to);
    }
    return { uses: this.#usesUntil(to), requests: this.#requests, keys: this.#keys.size };
  }

  async submit(order: { readonly id: CertificateId }): Promise<Answer> {
    const { conditions, rule, name } = this.#options;
    this.#requests.push(this.#now);
    if (!isReachable(conditions, this.#now)) throw unreachable;
    if (!isDecided(conditions, this.#now)) {
      return { kind: 'pending', cookie: order.id, retryAfterS: 6 * 3600 };
    }
    const notBefore = this.#now - datedBackMs;
    const text = `${name} ${this.#requests.length}`;
    const certificate = {
      spki,
      subject: [],
      subjectDer: encodeName([]),
      extensions: [],
      notBefore: new Date(notBefore),
      notAfter: new Date(this.#now + rule.lifetimeS * 1000),
      fingerprint: createHash('sha256').update(text).digest('hex'),
    };
    return { kind: 'issued', chain: [certificate as unknown as Certificate] }; // what the executor reads
  }

  get #clock(): number {
    return this.#now + clockError(this.#options.conditions, this.#now);
  }

  /** When the service has something to do; the next second, when it is due and was tried. */
  #due(): number {
    const step = this.#record && this.#executor.stepOf(this.#record);
    if (step?.kind !== 'wait') return this.#now + checkMs;
    const inMs = step.until === undefined ? Infinity : step.until - this.#clock;
    return this.#now + Math.max(inMs, 1000);
  }

  #replace(before: CertificateEntry | undefined, next: CertificateEntry): boolean {
    if (this.#record !== before) return false;
    this.#record = remainderOf(next);
    const [certificate] = next.chain;
    if (certificate === undefined || before?.chain[0] === certificate) return true;
    const [notBefore, notAfter] = [certificate.notBefore.getTime(), certificate.notAfter.getTime()];
    this.#endUse();
    this.#uses.push({ from: this.#now, to: Infinity, notBefore, notAfter });
    return true;
  }

  #endUse(): void {
    const last = this.#uses.pop();
    if (last !== undefined) this.#uses.push({ ...last, to: this.#now });
  }

  #usesUntil(to: number): readonly Use[] {
    this.#now = to;
    this.#endUse();
    return this.#uses;
  }

  #orderKeys(): OrderKeys {
    const keys = this.#keys;
    const lookup: KeyLookup = {
      stateOf: async (keyId) => (keys.has(keyId) ? 'matches' : 'missing'),
      find: async () => undefined,
    };
    return {
      createPair: async (keyId) => void keys.add(keyId),
      publicKey: async (keyId) => (keys.has(keyId) ? spki : undefined),
      deleteKey: async (keyId) => void keys.delete(keyId),
      signer: () => ({ algorithm: 'ecdsa-sha256', sign: async () => Buffer.alloc(64) }),
      lookup: () => lookup,
      contradicts: async () => false,
    };
  }
}
