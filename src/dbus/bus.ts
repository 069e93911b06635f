import { ServiceError } from '../errors.ts';
import { isReply } from './codec.ts';
import { Connection } from './connection.ts';
import { type IncomingMessage, Message, messageFlag, messageType } from './message.ts';
import type { OutboxLimits } from './outbox.ts';
import { type BusSignal, type SignalMatch, Subscriptions } from './subscriptions.ts';
import { BusError, errorFromWire } from './wire-errors.ts';

export type { BusSignal, SignalMatch } from './subscriptions.ts';
export { BusError };

const driver = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;
const defaultTimeoutMs = 30_000;
const connectTimeoutMs = 10_000;
const maxSerial = 0xffffffff;

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
  /** What the answer must look like; the call fails with Failed when it does not. */
  readonly replySignature?: string;
}

/** When to stop waiting for an answer; the default is 30 s. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

interface PendingCall {
  readonly replySignature: string | undefined;
  readonly resolve: (body: readonly unknown[]) => void;
  readonly reject: (error: Error) => void;
}

/** A connection to a message bus, as a client and as a place to serve objects. */
export class Bus implements AsyncDisposable {
  /** Settles, never rejects, when the connection is gone; with the error unless it was closed here. */
  readonly closed: Promise<Error | undefined>;
  #connection: Connection | undefined;
  #uniqueName = '';
  #serial = 0;
  #gone = false;
  #closing = false;
  readonly #pending = new Map<number, PendingCall>();
  readonly #subscriptions = new Subscriptions(
    (member, body) => this.callDriver(member, 's', body),
    (name) => this.nameOwner(name),
  );
  #onCall: ((message: IncomingMessage) => void) | undefined;
  readonly #settleClosed: (error: Error | undefined) => void;

  private constructor() {
    let settle: (error: Error | undefined) => void = () => undefined;
    this.closed = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settleClosed = settle;
  }

  /** Connects, authenticates and says Hello; Unavailable when the bus cannot be reached. */
  static async connect(address: string, signal?: AbortSignal, limits?: OutboxLimits): Promise<Bus> {
    const bus = new Bus();
    try {
      const limit = AbortSignal.timeout(connectTimeoutMs);
      const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
      const listener = {
        message: (message: IncomingMessage) => bus.#receive(message),
        closed: (error: Error | undefined) => bus.#lose(error),
      };
      const options = { signal: either, ...(limits && { limits }) };
      bus.#connection = await Connection.open(address, listener, options);
      const hello = await bus.#callDriver('Hello', '', [], { signal: either });
      bus.#uniqueName = String(hello[0]);
    } catch (error) {
      await bus.close();
      throw new ServiceError('Unavailable', `cannot reach the bus at ${address}`, { cause: error });
    }
    return bus;
  }

  /** The name that the bus gave this connection, such as `:1.42`. */
  get uniqueName(): string {
    return this.#uniqueName;
  }

  /** Bytes waiting to be written. */
  get queuedBytes(): number {
    return this.#connection?.queuedBytes ?? 0;
  }

  /** Calls a method; ServiceError or BusError when it fails, Unavailable when no answer came in time. */
  call(call: MethodCall, options: CallOptions = {}): Promise<readonly unknown[]> {
    const { signal, timeoutMs = defaultTimeoutMs } = options;
    if (this.#gone) return Promise.reject(lostBus());
    if (signal?.aborted === true) return Promise.reject(abandoned(call, signal));
    const serial = this.nextSerial();
    const message = new Message({
      ...call,
      serial,
      flags:
        (call.interactive === true ? messageFlag.allowInteractive : 0) |
        (call.noAutoStart === true ? messageFlag.noAutoStart : 0),
    });
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#pending.delete(serial);
      };
      const fail = (error: Error): void => {
        finish();
        reject(error);
      };
      const abort = (): void => fail(abandoned(call, signal));
      const timer = Number.isFinite(timeoutMs)
        ? setTimeout(() => fail(unanswered(call, timeoutMs)), timeoutMs)
        : undefined;
      signal?.addEventListener('abort', abort, { once: true });
      this.#pending.set(serial, {
        replySignature: call.replySignature,
        resolve: (body) => {
          finish();
          resolve(body);
        },
        reject: fail,
      });
      try {
        this.#connection?.send(message);
      } catch (error) {
        fail(error instanceof Error ? error : new TypeError('cannot be sent'));
      }
    });
  }

  /** Listens for signals until the subscription is disposed of. */
  subscribe(match: SignalMatch, listener: (signal: BusSignal) => void): Promise<AsyncDisposable> {
    return this.#subscriptions.add(match, listener);
  }

  /** Takes a well-known name; Unavailable when another process has it. */
  async requestName(name: string): Promise<void> {
    const doNotQueue = 4;
    const primaryOwner = 1;
    const alreadyOwner = 4;
    const [answer] = await this.#callDriver('RequestName', 'su', [name, doNotQueue]);
    if (answer !== primaryOwner && answer !== alreadyOwner) {
      throw new ServiceError('Unavailable', `another process owns the bus name ${name}`);
    }
  }

  /** Gives a well-known name back; what the bus routed here before its answer still arrives. */
  async releaseName(name: string): Promise<void> {
    await this.#callDriver('ReleaseName', 's', [name]);
  }

  /** The unique name of the owner of a name. */
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

  /** Serves incoming calls with this function; it must not throw. Only one at a time. */
  serveCalls(onCall: (message: IncomingMessage) => void): void {
    this.#onCall = onCall;
  }

  /** A serial for a message that goes out by `send`. */
  nextSerial(): number {
    this.#serial = this.#serial >= maxSerial ? 1 : this.#serial + 1;
    return this.#serial;
  }

  /** Sends a reply or a signal; TypeError or RangeError when its body does not fit its signature. */
  send(message: Message): void {
    message.serial = this.nextSerial();
    this.#connection?.send(message);
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

  #receive(message: IncomingMessage): void {
    if (message.type === messageType.call) this.#onCall?.(message);
    else if (message.type === messageType.signal) this.#subscriptions.deliver(message);
    else if (isReply(message)) this.#receiveReply(message);
  }

  #receiveReply(message: IncomingMessage): void {
    const pending = this.#pending.get(message.replySerial ?? 0);
    if (pending === undefined) return;
    if (message.type === messageType.error) pending.reject(errorOf(message));
    else {
      const wrong = wrongReply(message, pending.replySignature);
      if (wrong === undefined) pending.resolve(message.body);
      else pending.reject(wrong);
    }
  }

  #lose(error: Error | undefined): void {
    this.#gone = true;
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

/** Whether the bus said that nobody owns the name. */
export function hasNoOwner(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return (
    cause instanceof BusError && cause.errorName === 'org.freedesktop.DBus.Error.NameHasNoOwner'
  );
}

function errorOf({ errorName, body }: IncomingMessage): Error {
  const [text] = body;
  const name = errorName ?? 'org.freedesktop.DBus.Error.Failed';
  return errorFromWire(name, typeof text === 'string' ? text : '');
}

/** What is wrong with a reply: a peer of another version, or one that is not what it claims to be. */
function wrongReply(message: IncomingMessage, wanted: string | undefined): Error | undefined {
  const { signature } = message;
  if (wanted !== undefined && wanted !== signature) {
    return new ServiceError('Failed', `the reply is (${signature}), not (${wanted})`);
  }
  const { bodyError: cause } = message;
  return cause && new ServiceError('Failed', 'the reply is unreadable', { cause });
}

function lostBus(cause?: Error): ServiceError {
  return new ServiceError('Unavailable', 'the connection to the bus is lost', { cause });
}

function unanswered(call: MethodCall, timeoutMs: number): ServiceError {
  return new ServiceError(
    'Unavailable',
    `${call.destination} did not answer ${call.member} within ${timeoutMs / 1000} s`,
    { cause: new BusError('org.freedesktop.DBus.Error.Timeout', 'no answer in time') },
  );
}

function abandoned(call: MethodCall, signal: AbortSignal | undefined): ServiceError {
  const { destination, member } = call;
  return new ServiceError('Cancelled', `the call of ${member} on ${destination} was abandoned`, {
    cause: signal?.reason,
  });
}
