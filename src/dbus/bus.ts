import type { Cancellation } from '../cancellation.ts';
import { ServiceError } from '../errors.ts';
import { OutgoingCalls } from './client/outgoing-calls.ts';
import {
  decodeReply,
  defaultReplyLimit,
  type ExpectedReply,
  errorOf,
  maxErrorBytes,
  type ReplyLimit,
} from './client/received-reply.ts';
import { type BusSignal, type SignalMatch, Subscriptions } from './client/subscriptions.ts';
import type { OutboxLimits } from './wire/connection.ts';
import { Connection } from './wire/connection.ts';
import { type IncomingMessage } from './wire/inbox.ts';
import { Message, type MessageHeader, messageFlag, messageType } from './wire/message.ts';
import { BusError } from './wire/wire-errors.ts';

export type { ReplyLimit } from './client/received-reply.ts';
export type { BusSignal, SignalMatch } from './client/subscriptions.ts';
export { BusError };

const driver = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;
const defaultTimeoutMs = 30_000;
const connectTimeoutMs = 10_000;
const maxSerial = 0xffffffff;
/** Larger signals are not received; those that are subscribed to are far smaller. */
const maxSignalBytes = 64 << 10;
const maxSignalElements = 4096;

/** A call to a method of another process. */
export interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  /** Whether the callee may ask a person for authorization. */
  readonly interactive?: boolean;
  /** Fail with Unavailable rather than start the callee. */
  readonly noAutoStart?: boolean;
  /** The signature that the reply must have; the call fails with Failed when it has another. */
  readonly replySignature?: string;
  /** A larger reply is skipped, and the call fails with Failed. */
  readonly replyLimit?: ReplyLimit;
}

/** When to stop waiting for a reply; the default is 30 s. */
export interface CallOptions {
  readonly signal?: Cancellation | undefined;
  readonly timeoutMs?: number | undefined;
}

/** Serves incoming calls; neither function may throw. */
export interface CallReceiver {
  /** The largest accepted body of a call; a larger one is skipped, and the call received without it. */
  maxBodyBytes(header: MessageHeader): number;
  /** The body is valid until this returns, unless the message is detached. */
  receive(message: IncomingMessage): void;
}

/** Options of a connection to a bus. */
export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined;
  readonly limits?: OutboxLimits | undefined;
  /** Notified when the bus has accepted nothing for a while (false), and when it accepts messages again (true). */
  readonly onStall?: ((isOver: boolean) => void) | undefined;
}

interface PendingCall extends ExpectedReply {
  readonly resolve: (body: readonly unknown[]) => void;
  readonly reject: (error: Error) => void;
}

/** A connection to a message bus, for clients and for services. */
export class Bus implements AsyncDisposable {
  /** Resolves, never rejects, when the connection has ended; with the error unless `close` ended it. */
  readonly closed: Promise<Error | undefined>;
  #connection: Connection | undefined;
  #uniqueName = '';
  #serial = 0;
  #isLost = false;
  #closing = false;
  readonly #pending = new Map<number, PendingCall>();
  readonly #subscriptions = new Subscriptions(
    (member, body) => this.callDriver(member, 's', body),
    (name) => this.nameOwner(name),
  );
  readonly #outgoing = new OutgoingCalls();
  #receiver: CallReceiver | undefined;
  readonly #settleClosed: (error: Error | undefined) => void;

  private constructor() {
    let settle: (error: Error | undefined) => void = () => undefined;
    this.closed = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settleClosed = settle;
  }

  /** Connects, authenticates and calls Hello; Unavailable when the bus cannot be reached. */
  static async connect(address: string, options: ConnectOptions = {}): Promise<Bus> {
    const { signal, limits, onStall } = options;
    const bus = new Bus();
    try {
      const limit = AbortSignal.timeout(connectTimeoutMs);
      const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
      const listener = {
        accept: (header: MessageHeader) => bus.#accept(header),
        message: (message: IncomingMessage) => bus.#receive(message),
        stall: (isOver: boolean) => onStall?.(isOver),
        closed: (error: Error | undefined) => bus.#lose(error),
      };
      bus.#connection = await Connection.open(address, listener, { signal: either, limits });
      const hello = await bus.#callDriver('Hello', '', [], { signal: either });
      bus.#uniqueName = String(hello[0]);
    } catch (error) {
      await bus.close();
      throw new ServiceError('Unavailable', `cannot reach the bus at ${address}`, { cause: error });
    }
    return bus;
  }

  /** The unique name that the bus assigned to this connection, such as `:1.42`. */
  get uniqueName(): string {
    return this.#uniqueName;
  }

  /** Bytes waiting to be written. */
  get queuedBytes(): number {
    return this.#connection?.queuedBytes ?? 0;
  }

  /**
   * Calls a method; ServiceError or BusError when it fails, Unavailable when no reply arrives in time. The timeout
   * includes the time that the call is queued behind others of this connection.
   */
  call(call: MethodCall, options: CallOptions = {}): Promise<readonly unknown[]> {
    const { signal, timeoutMs = defaultTimeoutMs } = options;
    if (this.#isLost) return Promise.reject(lostBus());
    if (signal?.aborted === true) return Promise.reject(abandoned(call, signal));
    const serial = this.nextSerial();
    return new Promise((resolve, reject) => {
      const { destination } = call;
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#pending.delete(serial);
        this.#outgoing.abandon(serial);
      };
      const fail = (error: Error): void => {
        finish();
        reject(error);
      };
      const abort = (): void => fail(abandoned(call, signal));
      const timer = Number.isFinite(timeoutMs)
        ? setTimeout(() => fail(replyTimeout(call, timeoutMs)), timeoutMs)
        : undefined;
      signal?.addEventListener('abort', abort, { once: true });
      this.#pending.set(serial, {
        replySignature: call.replySignature,
        replyLimit: call.replyLimit ?? defaultReplyLimit,
        resolve: (body) => {
          finish();
          resolve(body);
        },
        reject: (error) => fail(withCall(error, call)),
      });
      if (destination === driver.destination) this.#send(call, serial);
      else this.#outgoing.start(serial, { destination, send: () => this.#send(call, serial) });
    });
  }

  #send(call: MethodCall, serial: number): void {
    const flags =
      (call.interactive === true ? messageFlag.allowInteractive : 0) |
      (call.noAutoStart === true ? messageFlag.noAutoStart : 0);
    try {
      this.#connection?.send(new Message({ ...call, serial, flags }));
    } catch (error) {
      const failure = error instanceof Error ? error : new TypeError('cannot be sent');
      this.#outgoing.replied(serial);
      this.#pending.get(serial)?.reject(failure);
    }
  }

  /** Listens for signals until the subscription is disposed of. */
  subscribe(match: SignalMatch, listener: (signal: BusSignal) => void): Promise<AsyncDisposable> {
    return this.#subscriptions.add(match, listener);
  }

  /** Acquires a well-known name; Unavailable when another process owns it. */
  async requestName(name: string): Promise<void> {
    const doNotQueue = 4;
    const primaryOwner = 1;
    const alreadyOwner = 4;
    const [result] = await this.#callDriver('RequestName', 'su', [name, doNotQueue]);
    if (result !== primaryOwner && result !== alreadyOwner) {
      throw new ServiceError('Unavailable', `another process owns the bus name ${name}`);
    }
  }

  /** Releases a well-known name; messages that the bus routed here before its reply still arrive. */
  async releaseName(name: string): Promise<void> {
    await this.#callDriver('ReleaseName', 's', [name]);
  }

  /** The unique name of the owner of a name; undefined when it has none. */
  async nameOwner(name: string): Promise<string | undefined> {
    try {
      const [owner] = await this.#callDriver('GetNameOwner', 's', [name]);
      return typeof owner === 'string' ? owner : undefined;
    } catch (error) {
      if (hasNoOwner(error)) return undefined;
      throw error;
    }
  }

  /** Calls a method of the bus itself. */
  callDriver(
    member: string,
    signature: string,
    body: readonly unknown[],
  ): Promise<readonly unknown[]> {
    return this.#callDriver(member, signature, body);
  }

  /** Sets the one receiver of incoming calls; without one they are dropped. */
  serveCalls(receiver: CallReceiver): void {
    this.#receiver = receiver;
  }

  nextSerial(): number {
    this.#serial = this.#serial >= maxSerial ? 1 : this.#serial + 1;
    return this.#serial;
  }

  /** Sends a reply or a signal and returns its size; TypeError or RangeError when its body does not fit. */
  send(message: Message): number {
    message.serial = this.nextSerial();
    return this.#connection?.send(message) ?? 0;
  }

  /** Writes what is queued and closes the connection. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#connection?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #callDriver(
    member: string,
    signature: string,
    body: readonly unknown[],
    options?: CallOptions,
  ): Promise<readonly unknown[]> {
    return this.call({ ...driver, member, signature, body }, options);
  }

  /** The largest body to receive; undefined for a message that is not received at all. */
  #accept(header: MessageHeader): number | undefined {
    switch (header.type) {
      case messageType.call:
        return this.#receiver?.maxBodyBytes(header);
      case messageType.signal:
        return this.#subscriptions.wants(header) ? maxSignalBytes : undefined;
      case messageType.error:
        this.#outgoing.replied(header.replySerial ?? 0);
        return this.#pending.has(header.replySerial ?? 0) ? maxErrorBytes : undefined;
      default:
        this.#outgoing.replied(header.replySerial ?? 0);
        return this.#pending.get(header.replySerial ?? 0)?.replyLimit.bytes;
    }
  }

  #receive(message: IncomingMessage): void {
    switch (message.header.type) {
      case messageType.call:
        this.#receiver?.receive(message);
        return;
      case messageType.signal:
        this.#subscriptions.deliver(message, maxSignalElements);
        return;
      default:
        this.#receiveReply(message);
    }
    message.release();
  }

  #receiveReply(message: IncomingMessage): void {
    const { type, replySerial = 0 } = message.header;
    const pending = this.#pending.get(replySerial);
    if (pending === undefined) return;
    if (type === messageType.error) {
      pending.reject(errorOf(message));
      return;
    }
    try {
      pending.resolve(decodeReply(message, pending));
    } catch (error) {
      pending.reject(error instanceof Error ? error : new TypeError('the reply is unreadable'));
    }
  }

  #lose(error: Error | undefined): void {
    this.#isLost = true;
    for (const { reject } of this.#pending.values()) reject(lostBus(error));
    this.#settleClosed(
      this.#closing ? undefined : (error ?? new Error('the bus closed the connection')),
    );
  }
}

/** The address of the system bus: DBUS_SYSTEM_BUS_ADDRESS, else the standard one. */
export function systemBusAddress(environment: NodeJS.ProcessEnv = process.env): string {
  return environment['DBUS_SYSTEM_BUS_ADDRESS'] ?? 'unix:path=/run/dbus/system_bus_socket';
}

/** Whether the bus reported that the name has no owner. */
export function hasNoOwner(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return (
    cause instanceof BusError && cause.errorName === 'org.freedesktop.DBus.Error.NameHasNoOwner'
  );
}

function lostBus(cause?: Error): ServiceError {
  return new ServiceError('Unavailable', 'the connection to the bus is lost', { cause });
}

/** The bus does not name the peer that disconnected before it replied. */
function withCall(error: Error, { destination, member }: MethodCall): Error {
  const { cause } = error;
  const isUnanswered =
    cause instanceof BusError && cause.errorName === 'org.freedesktop.DBus.Error.NoReply';
  if (!isUnanswered) return error;
  return new ServiceError('Unavailable', `${destination} did not reply to ${member}`, { cause });
}

function replyTimeout(call: MethodCall, timeoutMs: number): ServiceError {
  return new ServiceError(
    'Unavailable',
    `${call.destination} did not reply to ${call.member} within ${timeoutMs / 1000} s`,
    { cause: new BusError('org.freedesktop.DBus.Error.Timeout', 'no reply in time') },
  );
}

function abandoned(call: MethodCall, signal: Cancellation | undefined): ServiceError {
  const { destination, member } = call;
  return new ServiceError('Cancelled', `the call of ${member} on ${destination} was abandoned`, {
    cause: signal?.reason,
  });
}
