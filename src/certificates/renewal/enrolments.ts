/** Enrolments and renewals: those that callers ask for, and those that are due. */
import { randomUUID } from 'node:crypto';
import { ownRequest, type Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { type CertificateId, parseCertificateId } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import type { Operation } from '../../service/operations/operation.ts';
import { type OperationKind, Operations } from '../../service/operations/operations.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { AskedOrder, Executor } from './executor.ts';
import type { OrderRule } from './order-rule.ts';
import type { Records } from './records.ts';
import { abandoned } from './transitions.ts';

/** The arguments of Enroll and Renew. */
export interface EnrolArgs {
  /** `` for that of the rule. */
  readonly issuer: string;
  /** Undefined: as the rule says. */
  readonly rotateKey?: boolean | undefined;
}

type EnrolVerb = 'Enroll' | 'Renew';

/** The parts of the enrolments. */
export interface EnrolmentsOptions {
  readonly executor: Executor;
  readonly records: Records;
  /** The rule in force for an order; throws when there may be none. */
  readonly ruleFor: (verb: EnrolVerb, id: CertificateId, args: EnrolArgs) => OrderRule;
  /** Whether Enroll has nothing to do. */
  readonly isEnrolled: (id: CertificateId, args: EnrolArgs) => boolean;
  /** Publishes a certificate whose operation begins or ends. */
  readonly publish: (id: CertificateId) => void;
  readonly log: Log;
  readonly now: () => Date;
  /** Aborted when the service stops. */
  readonly signal: AbortSignal;
}

/** Deadlines of the wall clock are evaluated again this often, because the clock can be set. */
const checkMs = 60_000;
const minDelayMs = 50;

/** All orders of the service: one operation at a time for each certificate. */
export class Enrolments implements AsyncDisposable {
  readonly operations: Operations;
  readonly enroll: OperationKind<EnrolArgs, true>;
  readonly renew: OperationKind<EnrolArgs, true>;
  readonly #options: EnrolmentsOptions;
  /** Records at the end of an operation of the service itself: as long as they do not change, it is repeated once a minute. */
  readonly #ended = new Map<CertificateId, { readonly entry: unknown; readonly at: number }>();
  readonly #tidying = new Set<CertificateId>();
  #timer: NodeJS.Timeout | undefined;
  #isStarted = false;

  constructor(options: EnrolmentsOptions) {
    this.#options = options;
    this.operations = new Operations({
      nameOf: (id) => `the certificate ${quoted(id)}`,
      onChange: (id) => {
        options.publish(parseCertificateId(id));
        if (this.#isStarted) this.#schedule(minDelayMs);
      },
      log: options.log,
    });
    this.enroll = this.#kind('Enroll');
    this.renew = this.#kind('Renew');
  }

  /** Begins to do what is due, now and later. */
  start(): void {
    this.#isStarted = true;
    this.#check();
  }

  /** When the next step is due. */
  get due(): Date | undefined {
    const { records, executor, now } = this.#options;
    const times = records.ids().flatMap((id) => {
      const entry = records.get(id);
      if (entry?.enrolment === undefined) return [];
      const step = executor.stepOf(entry);
      return step.kind === 'wait' ? (step.until ?? []) : now().getTime();
    });
    return times.length === 0 ? undefined : new Date(Math.min(...times));
  }

  /** Submits orders at once whose last attempts failed: their settings may have changed. */
  async hasten(isMeant: (entry: CertificateEntry) => boolean = () => true): Promise<void> {
    const { executor, records } = this.#options;
    for (const id of records.ids()) {
      await executor.hasten(id, (entry) => isRetried(entry) && isMeant(entry));
    }
    if (this.#isStarted) this.#check();
  }

  /** Looks again what is due, as a CA may have been replaced. */
  request(): void {
    if (this.#isStarted) this.#schedule(minDelayMs);
  }

  /** Ends the operation of a certificate that was replaced or deleted, and deletes keys that are left over. */
  async settle(id: CertificateId, via: Via): Promise<void> {
    const operation = this.operations.current(id);
    const text = `the certificate ${quoted(id)} was replaced or deleted`;
    operation?.abort(new ServiceError('Cancelled', text));
    await this.#tidy(id, via);
    if (this.#isStarted) this.#schedule(minDelayMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStarted = false;
    clearTimeout(this.#timer);
    await this.operations.stop();
  }

  #kind(verb: EnrolVerb): OperationKind<EnrolArgs, true> {
    const { executor, signal } = this.#options;
    return {
      verb,
      // the order in the record of the certificate is what is persisted
      persist: async (name, args) => {
        const id = parseCertificateId(name);
        await executor.order(id, () => this.#asked(verb, id, args), ownRequest(signal));
      },
      run: (operation) => this.#run(operation),
      remove: () => Promise.resolve(),
    };
  }

  /** What a call orders: nothing when an operation of the service itself, which it may have joined, has just got it. */
  #asked(verb: EnrolVerb, id: CertificateId, args: EnrolArgs): AskedOrder | undefined {
    const { executor, isEnrolled, records, ruleFor } = this.#options;
    const rule = ruleFor(verb, id, args);
    const isJoined = this.operations.current(id) !== undefined;
    const hasOrder = records.get(id)?.enrolment?.order !== undefined;
    if (isJoined && executor.hasIssued(id) && !hasOrder) return undefined;
    if (verb === 'Enroll' && isEnrolled(id, args)) return undefined;
    return { rule, isNewKey: args.rotateKey };
  }

  /** As `Executor.advance`, also of what calls order that join meanwhile. */
  async #advance(
    id: CertificateId,
    operation: Operation<EnrolArgs, true>,
  ): Promise<CertificateEntry | undefined> {
    const { executor, records } = this.#options;
    for (;;) {
      const entry = await executor.advance(id, operation);
      const { persisted } = operation;
      await persisted;
      if (records.get(id) === entry && operation.persisted === persisted) return entry;
    }
  }

  async #run(operation: Operation<EnrolArgs, true>): Promise<true> {
    const { executor, records } = this.#options;
    const id = parseCertificateId(operation.id);
    try {
      const entry = await this.#advance(id, operation);
      // a call that comes now is not for what has been done
      operation.end();
      const order = entry?.enrolment?.order;
      if (order === undefined) return true;
      if (order.cookie !== undefined && !order.isStuck) throw stillPending(id, order.nextAttempt);
      throw executor.failureOf(id) ?? new ServiceError('Unavailable', order.reason);
    } catch (error) {
      if (this.#isUndone(operation, id)) await executor.drop(id);
      throw error;
    } finally {
      executor.forgetIssued(id);
      await this.#tidy(id, operation);
      this.#ended.set(id, { entry: records.get(id), at: performance.now() });
    }
  }

  /** Whether an operation that failed leaves nothing behind: its callers know, and nothing else asks for it. */
  #isUndone(operation: Operation<EnrolArgs, true>, id: CertificateId): boolean {
    const { executor, records } = this.#options;
    const entry = records.get(id);
    const order = entry?.enrolment?.order;
    if (entry === undefined || order === undefined) return false;
    // it is left to the call that it has given way to
    if (operation.hasYielded) return false;
    if (operation.isCancelled) return true;
    const isPending = order.cookie !== undefined && !order.isStuck;
    if (operation.isOwn || !operation.isAwaited || isPending) return false;
    return executor.stepOf(abandoned(entry)).kind !== 'order';
  }

  /** Does what is due, and looks again when something else is. */
  #check(): void {
    const { executor, records, now } = this.#options;
    let next = checkMs;
    this.#hastenForIssuers().catch((error: unknown) => {
      this.#options.log.warn('orders not hastened', { error: describeError(error) });
    });
    for (const id of records.ids()) {
      const entry = records.get(id);
      if (entry?.enrolment === undefined || this.operations.isPending(id)) continue;
      const step = executor.stepOf(entry);
      if (step.kind === 'wait') next = Math.min(next, (step.until ?? Infinity) - now().getTime());
      else if (step.kind === 'retire key' || step.kind === 'end grace')
        void this.#tidy(id, this.#own);
      else if (!this.#isPausing(id, entry)) this.#begin(id, entry);
    }
    this.#schedule(Math.max(next, minDelayMs));
  }

  /** Submits orders at once that wait although their CA was replaced, also one that was before this process began. */
  async #hastenForIssuers(): Promise<void> {
    const { executor, records } = this.#options;
    for (const id of records.ids()) {
      const isMeant = (entry: CertificateEntry): boolean =>
        isRetried(entry) && !this.operations.isPending(id) && executor.hasOtherIssuer(entry);
      if (await executor.hasten(id, isMeant)) this.request();
    }
  }

  get #own(): Via {
    return ownRequest(this.#options.signal);
  }

  #isPausing(id: CertificateId, entry: CertificateEntry): boolean {
    const ended = this.#ended.get(id);
    return ended?.entry === entry && performance.now() - ended.at < checkMs;
  }

  #begin(id: CertificateId, entry: CertificateEntry): void {
    const kind = entry.chain.length === 0 ? this.enroll : this.renew;
    const request = { id, args: { issuer: '' }, wait: false, requestId: randomUUID(), isOwn: true };
    this.operations.begin(kind, request).catch((error: unknown) => {
      const fields = { certificateId: id, error: describeError(error) };
      this.#options.log.info('renewal not started', fields);
    });
  }

  /** Deletes keys that are left over; what cannot be deleted now is tried again later. */
  async #tidy(id: CertificateId, via: Via): Promise<void> {
    const { executor, log, signal } = this.#options;
    if (signal.aborted || this.#tidying.has(id)) return;
    this.#tidying.add(id);
    try {
      await executor.tidy(id, { ...this.#own, requestId: via.requestId });
    } catch (error) {
      if (!signal.aborted)
        log.warn('key not deleted yet', { certificateId: id, error: describeError(error) });
      if (!isServiceError(error)) throw error;
    } finally {
      this.#tidying.delete(id);
    }
  }

  #schedule(inMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), inMs).unref();
  }
}

/** Whether an order waits because its last attempt has failed. */
function isRetried({ enrolment }: CertificateEntry): boolean {
  const { order } = enrolment ?? {};
  return order?.isStuck === true || ((order?.attempts ?? 0) > 0 && order?.cookie === undefined);
}

function stillPending(id: CertificateId, nextAttempt: number): ServiceError {
  const at = new Date(nextAttempt).toISOString();
  const text = `the issuer has not decided on the certificate ${quoted(id)}: it is asked again at ${at}`;
  return new ServiceError('Unavailable', text);
}
