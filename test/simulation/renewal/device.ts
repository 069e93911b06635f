import { generateKeyPairSync, hash } from 'node:crypto';
import type { CertificateEntry } from '../../../src/certificates/certificate-entry.ts';
import type { Answer, Issuer } from '../../../src/certificates/issuers/issuer.ts';
import type { KeyLookup, OrderKeys } from '../../../src/certificates/keys/keys-client.ts';
import { Executor } from '../../../src/certificates/renewal/executor.ts';
import type { Step } from '../../../src/certificates/renewal/next-step.ts';
import type { OrderRule } from '../../../src/certificates/renewal/order-rule.ts';
import { remainderOf } from '../../../src/certificates/renewal/records.ts';
import { ServiceError } from '../../../src/errors.ts';
import { type CertificateId, parseCertificateId } from '../../../src/ids.ts';
import { spkiOf } from '../../../src/x509/algorithm.ts';
import type { Certificate } from '../../../src/x509/certificate.ts';
import { validityWithin } from '../../../src/x509/certificate-builder.ts';
import { encodeName } from '../../../src/x509/name.ts';
import { silentLog } from '../../support/log.ts';
import { via } from '../../support/via.ts';
import {
  authorityAt,
  type Conditions,
  changesOf,
  clockError,
  isDecided,
  isReachable,
  type Period,
} from './conditions.ts';

/** The service checks at least this often what is due, as a step of the clock is seen by nothing else. */
const checkMs = 60_000;
/** What an issuer that has not decided asks for. */
const retryAfterS = 6 * 3600;
const minute = 60_000;
const hour = 3_600_000;
const unlimited = { notBefore: new Date(0), notAfter: new Date(8.64e15) };
const unreachable = new ServiceError('Unavailable', 'the issuer cannot be reached');
const id = parseCertificateId('device');
const spki = spkiOf(generateKeyPairSync('ed25519').publicKey);

/** A certificate that was current for some time. */
export interface Use extends Period {
  readonly issued: number;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What happened on a device. */
export interface History {
  /** In order, without gaps. */
  readonly uses: readonly Use[];
  /** When the issuer was asked, reached or not. */
  readonly requests: readonly number[];
  /** How many of them came before they may: in less than a minute, or than the issuer had asked for. */
  readonly early: number;
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
  /** When certificates were issued. */
  readonly #issued = new WeakMap<object, number>();
  #record: CertificateEntry | undefined;
  /** The true time. */
  #now: number;
  #early = 0;
  /** The error of the clock at the last request, and when the next one may come. */
  #pause = { error: 0, until: 0 };

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#now = options.from;
    // names decide nothing here
    const rule = { ...options.rule, subject: [], names: [] };
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
      issuing: () => ({ ruleOf: () => rule, issuerOf: () => this }),
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
      let step = this.#step();
      if (step?.kind !== 'wait') {
        await this.#executor.tidy(id, via);
        step = this.#step();
      }
      const change = changes.find((one) => one > this.#now);
      this.#now = Math.min(this.#dueAfter(step), change === undefined ? to : change + checkMs, to);
    }
    return {
      uses: this.#usesUntil(to),
      requests: this.#requests,
      early: this.#early,
      keys: this.#keys.size,
    };
  }

  async submit(order: { readonly id: CertificateId }): Promise<Answer> {
    const { conditions, rule, name } = this.#options;
    const now = this.#now;
    const isReached = isReachable(conditions, now);
    const isPending = isReached && !isDecided(conditions, now);
    this.#noteRequest(isPending ? retryAfterS * 1000 : 0);
    const authority = authorityAt(conditions, now);
    if (authority === undefined || !isReached) throw unreachable;
    if (isPending) return { kind: 'pending', cookie: order.id, retryAfterS };
    const issuer = { notBefore: new Date(authority.from), notAfter: new Date(authority.to) };
    const lifetimeMs = rule.lifetimeS * 1000;
    const certificate = {
      spki,
      subject: [],
      subjectDer: encodeName([]),
      extensions: [],
      ...validityWithin(issuer, { now: new Date(now), lifetimeMs }),
      fingerprint: hash('sha256', `${name} ${this.#requests.length}`, 'hex'),
    };
    this.#issued.set(certificate, now);
    return { kind: 'issued', chain: [certificate as unknown as Certificate] }; // what the executor reads
  }

  /** A step of the clock may make the next request due at once. */
  #noteRequest(askedMs: number): void {
    const error = clockError(this.#options.conditions, this.#now);
    if (error === this.#pause.error && this.#now < this.#pause.until - 1000) this.#early++;
    this.#requests.push(this.#now);
    const { notBefore, notAfter } = this.#record?.chain[0] ?? unlimited;
    const floor = Math.min(minute, (notAfter.getTime() - notBefore.getTime()) / 20);
    const remaining = notAfter.getTime() - this.#clock;
    const longest = Math.max(remaining > 0 ? remaining / 4 : hour, floor);
    this.#pause = { error, until: this.#now + Math.min(Math.max(askedMs, floor), longest) };
  }

  get #clock(): number {
    return this.#now + clockError(this.#options.conditions, this.#now);
  }

  #step(): Step | undefined {
    return this.#record && this.#executor.stepOf(this.#record);
  }

  /** When the service has something to do; the next second, when it is due and was tried. */
  #dueAfter(step: Step | undefined): number {
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
    const issued = this.#issued.get(certificate) ?? 0;
    this.#endUse();
    this.#uses.push({ from: this.#now, to: Infinity, issued, notBefore, notAfter });
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
      signer: () => ({ algorithm: 'ed25519', sign: async () => Buffer.alloc(64) }),
      lookup: () => lookup,
      contradicts: async () => false,
    };
  }
}
