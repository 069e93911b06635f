import { ServiceError } from '../../../errors.ts';
import type { IncomingMessage } from '../../wire/inbox.ts';
import { callerLeft, IncomingCall } from '../call.ts';
import type { Caller, Callers } from '../caller.ts';
import type { CallLimits } from './call-limits.ts';
import { CallQueue } from './call-queue.ts';

/** Is notified of the outcome of each message; none of these may throw. */
export interface AdmissionListener {
  /** The call begins: its caller is identified, and it has a slot until it is finished. */
  admitted(call: IncomingCall): void;
  /** The call is rejected; returns the size of the reply. */
  refused(message: IncomingMessage, call: IncomingCall | undefined, error: unknown): number;
  /** A queued call that wants no reply is dropped, because its caller left; no error can report that. */
  lost(message: IncomingMessage, caller: Caller | undefined): void;
  expectedReplyBytes(call: IncomingCall): number;
  isTrusted(uid: number): boolean;
}

/** Messages of a connection whose credentials are requested from the bus. */
interface Unidentified {
  readonly messages: IncomingMessage[];
  bytes: number;
}

/** The form of unique names such as `:1.42`; a message from any other sender cannot be replied to. */
const uniqueName = /^:[0-9]+(\.[0-9]+)+$/;

/** Turns messages into calls: identifies the uid of the sender, then queues the call. */
export class Admission {
  readonly #callers: Callers;
  readonly #limits: CallLimits;
  readonly #listener: AdmissionListener;
  readonly #queue: CallQueue;
  readonly #unidentified = new Map<string, Unidentified>();
  #unidentifiedBytes = 0;
  readonly #calls = new Map<string, Set<IncomingCall>>();
  #lastActivityAt = performance.now();

  constructor(callers: Callers, limits: CallLimits, listener: AdmissionListener) {
    this.#callers = callers;
    this.#limits = limits;
    this.#listener = listener;
    this.#queue = new CallQueue(limits, {
      begin: (call) => this.#begin(call),
      expire: (call, error) => this.#refuse(call, error),
      expectedReplyBytes: (call) => listener.expectedReplyBytes(call),
      isTrusted: (uid) => listener.isTrusted(uid),
    });
    callers.onVanish((caller) => this.#vanish(caller));
  }

  /** When the last call arrived or ended, by `performance.now()`. */
  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  /** The number of calls that are not finished, and of messages that may become calls. */
  get pending(): number {
    let unidentified = 0;
    for (const { messages } of this.#unidentified.values()) unidentified += messages.length;
    return this.#queue.size + unidentified;
  }

  /** Queues a message or rejects it. */
  admit(message: IncomingMessage): void {
    const { sender = '' } = message.header;
    if (!uniqueName.test(sender)) return;
    const cached = this.#callers.cached.get(sender);
    if (cached === undefined) this.#identify(sender, message);
    else this.#enter(new IncomingCall(message, cached));
    this.#lastActivityAt = performance.now();
  }

  /** Releases the slot of a call while it waits; LimitsExceeded when too many calls of its uid are parked. */
  park(call: IncomingCall): void {
    this.#queue.park(call);
  }

  /** Acquires a slot again; Unavailable when none is free in time. */
  resume(call: IncomingCall): Promise<void> | undefined {
    return this.#queue.resume(call);
  }

  /** Ends a call and counts the bytes of its reply. */
  finish(call: IncomingCall, replyBytes: number): void {
    const { sender } = call.caller;
    const calls = this.#calls.get(sender);
    if (calls?.delete(call) !== true) return;
    if (calls.size === 0) this.#calls.delete(sender);
    call.message.release();
    this.#queue.finish(call, replyBytes);
    this.#lastActivityAt = performance.now();
  }

  /** Aborts the signal of every call that has begun, and rejects the others. */
  abandonCalls(): void {
    this.#queue.refuseQueued();
    for (const calls of this.#calls.values()) for (const call of calls) call.abandon();
  }

  /** Holds the messages of a connection, in their order, until the bus has reported its credentials. */
  #identify(sender: string, message: IncomingMessage): void {
    const waiting = this.#unidentified.get(sender);
    try {
      this.#checkUnidentified(sender, waiting, message.sizeBytes);
    } catch (error) {
      this.#listener.refused(message, undefined, error);
      message.release();
      return;
    }
    message.detach();
    this.#unidentifiedBytes += message.sizeBytes;
    if (waiting === undefined) {
      const first = { messages: [message], bytes: 0 };
      this.#unidentified.set(sender, first);
      void this.#enterAll(sender, first);
    } else {
      waiting.messages.push(message);
      waiting.bytes += message.sizeBytes;
    }
  }

  /** The first call of a connection may be as large as its method accepts: programs may begin with a large call. */
  #checkUnidentified(sender: string, waiting: Unidentified | undefined, size: number): void {
    const { calls, bytes, totalBytes, reservedBytes } = this.#limits.unidentified;
    const most = size > bytes ? totalBytes : totalBytes + reservedBytes;
    if (this.#unidentifiedBytes + size > most) {
      const what = 'connections whose uid the bus has not reported yet sent too much';
      throw new ServiceError('LimitsExceeded', `${what}: the limit is ${totalBytes} bytes`);
    }
    if (waiting === undefined) return;
    if (waiting.messages.length < calls && waiting.bytes + size <= bytes) return;
    const limit = `the limit is ${calls} calls and ${bytes} bytes until the bus reports its uid`;
    throw new ServiceError('LimitsExceeded', `${sender} sent too much: ${limit}`);
  }

  async #enterAll(sender: string, { messages }: Unidentified): Promise<void> {
    try {
      const caller = await this.#callers.get(sender);
      this.#endUnidentified(sender, messages);
      for (const message of messages) this.#enter(new IncomingCall(message, caller));
    } catch (error) {
      this.#endUnidentified(sender, messages);
      for (const message of messages) {
        // a caller that cannot be identified has left
        if (message.wantsReply) this.#listener.refused(message, undefined, error);
        else this.#listener.lost(message, undefined);
        message.release();
      }
    } finally {
      this.#lastActivityAt = performance.now();
    }
  }

  #endUnidentified(sender: string, messages: readonly IncomingMessage[]): void {
    this.#unidentified.delete(sender);
    for (const message of messages) this.#unidentifiedBytes -= message.sizeBytes;
  }

  #enter(call: IncomingCall): void {
    try {
      this.#queue.enter(call);
    } catch (error) {
      this.#refuse(call, error);
    }
  }

  #refuse(call: IncomingCall, error: unknown): void {
    const bytes = this.#listener.refused(call.message, call, error);
    call.message.release();
    this.#queue.countReply(call.caller.uid, bytes);
  }

  #begin(call: IncomingCall): void {
    const calls = this.#calls.get(call.caller.sender);
    if (calls === undefined) this.#calls.set(call.caller.sender, new Set([call]));
    else calls.add(call);
    this.#listener.admitted(call);
  }

  #vanish(caller: Caller): void {
    for (const { message } of this.#queue.drop(caller)) {
      if (!message.wantsReply) this.#listener.lost(message, caller);
    }
    for (const call of this.#calls.get(caller.sender) ?? []) call.abandon(callerLeft);
  }
}
