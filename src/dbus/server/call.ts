import { randomUUID } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import { Message, messageFlag, messageType } from '../wire/message.ts';
import { wireNameOf } from '../wire/wire-errors.ts';
import type { Caller } from './caller.ts';

/** Why the signal of a call is aborted whose caller has left the bus: nobody will read the reply. */
export const callerLeft = new ServiceError('Cancelled', 'the caller left the bus');

const maxErrorText = 4096;

/** What a handler, a resolver and an authorizer know about a call. */
export interface CallContext {
  readonly caller: Caller;
  readonly member: string;
  /** Follows a request through all services and into their journals. */
  readonly requestId: string;
  /** Whether the caller lets a person be asked. */
  readonly interactive: boolean;
  /** Aborted when the caller leaves the bus, with `callerLeft`, or the service stops. */
  readonly signal: AbortSignal;
  /** When the call came in, by `performance.now()`. */
  readonly startedAt: number;
}

/** A call under way. What it may not need, its request id and its signal, is made on first use. */
export class IncomingCall implements CallContext {
  readonly message: IncomingMessage;
  readonly caller: Caller;
  readonly startedAt = performance.now();
  /** Whether it holds a place among the calls of its uid, or waits for something else; kept by the queue. */
  place: 'none' | 'active' | 'parked' = 'none';
  /** Since when it waits for a place; kept by the queue. */
  queuedAt = 0;
  #requestId: string | undefined;
  #abort: AbortController | undefined;
  #aborted: { readonly reason: ServiceError | undefined } | undefined;

  constructor(message: IncomingMessage, caller: Caller) {
    this.message = message;
    this.caller = caller;
  }

  get member(): string {
    return this.message.header.member ?? '';
  }

  get requestId(): string {
    this.#requestId ??= randomUUID();
    return this.#requestId;
  }

  /** Takes over the id of the request that the call serves, if it has one. */
  serveRequest(id: string | undefined): void {
    this.#requestId ??= id;
  }

  get interactive(): boolean {
    return (this.message.header.flags & messageFlag.allowInteractive) !== 0;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#aborted) this.#abort.abort(this.#aborted.reason);
    return this.#abort.signal;
  }

  /** Aborts the signal of the call: its caller has left, or the service stops. */
  abandon(reason?: ServiceError): void {
    this.#aborted ??= { reason };
    this.#abort?.abort(reason);
  }
}

/** What a call is answered with: values of a signature. */
export interface Reply {
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** Answers a call, unless the caller wants no answer; returns the size of the reply. */
export function reply(bus: Bus, call: IncomingMessage, { signature, body }: Reply): number {
  if (!call.wantsReply) return 0;
  const { serial: replySerial, sender: destination } = call.header;
  const type = messageType.reply;
  return bus.send(new Message({ type, replySerial, destination, signature, body }));
}

/** Answers a call with a failure, whatever is not a ServiceError as `internal error`; returns the size of the reply. */
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
