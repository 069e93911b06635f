import { IncomingCall } from './call.ts';
import type { Callers } from './caller.ts';
import { type Allowance, CallBudget, CallCounter, type CallLimits } from './limits.ts';
import type { IncomingMessage } from './message.ts';

/** What becomes of a message; neither may throw. */
export interface AdmissionListener {
  /** The caller is known and has not too much under way: the call counts until it is finished. */
  admitted(call: IncomingCall): void;
  refused(message: IncomingMessage, call: IncomingCall | undefined, error: unknown): void;
  /** A call came or ended. */
  activity(): void;
}

/** What messages become calls: those whose caller the bus knows, as many as the limits of its uid allow. */
export class Admission {
  readonly #callers: Callers;
  readonly #listener: AdmissionListener;
  readonly #counter: CallCounter;
  /** Calls by senders whose credentials are still asked for: what one of them may have, its uid may. */
  readonly #waiting = new CallBudget<string>();
  readonly #waitingMost: Allowance;
  readonly #calls = new Map<string, Set<IncomingCall>>();

  constructor(callers: Callers, limits: CallLimits, listener: AdmissionListener) {
    this.#callers = callers;
    this.#listener = listener;
    this.#counter = new CallCounter(limits);
    this.#waitingMost = limits.perUid;
    callers.onVanish((sender) => this.#abandonCallsOf(sender));
  }

  /** Calls that are not finished, and those that may become calls. */
  get underWay(): number {
    return this.#counter.calls + this.#waiting.calls;
  }

  /** Admits a message or refuses it: at once, unless the bus must be asked who sent it. */
  admit(message: IncomingMessage): void {
    this.#listener.activity();
    const known = this.#callers.known(message.sender ?? '');
    if (known === undefined) void this.#identify(message);
    else this.#begin(new IncomingCall(message, known));
  }

  /** Counts the call out. */
  finish(call: IncomingCall): void {
    const { sender, uid } = call.caller;
    const calls = this.#calls.get(sender);
    if (calls?.delete(call) !== true) return;
    if (calls.size === 0) this.#calls.delete(sender);
    this.#counter.leave(uid, call.message.sizeBytes);
    this.#listener.activity();
  }

  /** Aborts the signal of every call. */
  abandonCalls(): void {
    for (const sender of this.#calls.keys()) this.#abandonCallsOf(sender);
  }

  async #identify(message: IncomingMessage): Promise<void> {
    const { sender = '', sizeBytes } = message;
    try {
      this.#waiting.enter(sender, sizeBytes, this.#waitingMost);
    } catch (error) {
      this.#listener.refused(message, undefined, error);
      return;
    }
    try {
      this.#begin(new IncomingCall(message, await this.#callers.get(sender)));
    } catch (error) {
      this.#listener.refused(message, undefined, error);
    } finally {
      this.#waiting.leave(sender, sizeBytes);
      this.#listener.activity();
    }
  }

  #begin(call: IncomingCall): void {
    const { message, caller } = call;
    try {
      this.#counter.enter(caller.uid, message.sizeBytes);
    } catch (error) {
      this.#listener.refused(message, call, error);
      return;
    }
    const calls = this.#calls.get(caller.sender);
    if (calls === undefined) this.#calls.set(caller.sender, new Set([call]));
    else calls.add(call);
    this.#listener.admitted(call);
  }

  #abandonCallsOf(sender: string): void {
    for (const call of this.#calls.get(sender) ?? []) call.abandon();
  }
}
