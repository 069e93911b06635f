import { randomUUID } from 'node:crypto';
import type { Cancellation } from '../../cancellation.ts';
import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import { Message, messageFlag, messageType } from '../wire/message.ts';
import { wireNameOf } from '../wire/wire-errors.ts';
import type { Caller } from './caller.ts';

/** The abort reason of a call whose caller has left the bus, so that its reply will not be read. */
export const callerLeft = new ServiceError('Cancelled', 'the caller left the bus');

const maxErrorText = 4096;

/** The context of a call for handlers, resolvers and authorizers. */
export interface CallContext {
  readonly caller: Caller;
  readonly member: string;
  /** The id of the request that this call serves, shown in the journal of every service. */
  readonly requestId: string;
  /** Whether the caller allows interactive authorization. */
  readonly interactive: boolean;
  /** Aborted when the caller leaves the bus, with `callerLeft`, or the service stops. */
  readonly signal: AbortSignal;
  /** The same, far cheaper: for everything that takes one. */
  readonly cancellation: Cancellation;
  /** When the call arrived, by `performance.now()`. */
  readonly startedAt: number;
}

/** A call that has not ended. Its request id and its signal are created on first use, since few calls need them. */
export class IncomingCall implements CallContext, Cancellation {
  readonly message: IncomingMessage;
  readonly caller: Caller;
  readonly startedAt = performance.now();
  /** Whether it occupies a slot of its uid, or is parked while it waits for something else; set by the queue. */
  state: 'none' | 'active' | 'parked' = 'none';
  /** Since when it waits for a slot; set by the queue. */
  queuedAt = 0;
  #name: string | undefined;
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  readonly #listeners = new Set<() => void>();
  #aborted: { readonly reason: ServiceError | undefined } | undefined;

  constructor(message: IncomingMessage, caller: Caller) {
    this.message = message;
    this.caller = caller;
  }

  get member(): string {
    return this.message.header.member ?? '';
  }

  /** `<interface>.<member>`, as the header has them. */
  get name(): string {
    this.#name ??= nameOf(this.message);
    return this.#name;
  }

  get requestId(): string {
    this.#requestId ??= randomUUID();
    return this.#requestId;
  }

  /** Adopts the id of the request that the call serves, if it has one. */
  serveRequest(id: string | undefined): void {
    this.#requestId ??= id;
  }

  get interactive(): boolean {
    return (this.message.header.flags & messageFlag.allowInteractive) !== 0;
  }

  get cancellation(): Cancellation {
    return this;
  }

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  get reason(): unknown {
    return this.#aborted?.reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#aborted) this.#abort.abort(this.#aborted.reason);
    return this.#abort.signal;
  }

  /** Aborts the signal of the call: its caller has left, or the service stops. */
  abandon(reason?: ServiceError): void {
    if (this.#aborted) return;
    this.#aborted = { reason };
    this.#abort?.abort(reason);
    for (const listener of this.#listeners) listener();
  }
}

/** `<interface>.<member>` of a call; a part is empty when the header lacks it. */
export function nameOf({ header }: IncomingMessage): string {
  return `${header.interface ?? ''}.${header.member ?? ''}`;
}

/** The reply to a call: values and their signature. */
export interface Reply {
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** Replies to a call, unless the caller wants no reply; returns the size of the reply. */
export function reply(bus: Bus, call: IncomingMessage, { signature, body }: Reply): number {
  if (!call.wantsReply) return 0;
  const { serial: replySerial, sender: destination } = call.header;
  const type = messageType.reply;
  return bus.send(new Message({ type, replySerial, destination, signature, body }));
}

/** Replies with an error, `internal error` for all but a ServiceError; returns the size of the reply. */
export function replyError(bus: Bus, call: IncomingMessage, error: unknown): number {
  if (!call.wantsReply) return 0;
  const { serial: replySerial, sender: destination } = call.header;
  const ours = error instanceof ServiceError && error.code !== 'Failed';
  const errorName = wireNameOf(ours ? error.code : 'Failed');
  const text = ours ? error.message.replaceAll('\0', ' ') : 'internal error';
  const body = [text.slice(0, maxErrorText)];
  const type = messageType.error;
  return bus.send(new Message({ type, replySerial, destination, errorName, signature: 's', body }));
}
