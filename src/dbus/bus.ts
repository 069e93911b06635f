import { ServiceError } from '../errors.ts';
import { isReply } from './codec.ts';
import { Connection } from './connection.ts';
import { type IncomingMessage, Message, messageFlag, messageType } from './message.ts';
import { BusError, errorFromWire } from './wire-errors.ts';

export { BusError };

const driver = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;
const defaultTimeoutMs = 30_000;
const helloTimeoutMs = 10_000;
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
}

/** When to stop waiting for an answer; the default is 30 s. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/** Which signals a subscription is about; what is absent is not looked at. */
export interface SignalMatch {
  readonly sender?: string;
  readonly path?: string;
  readonly pathNamespace?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly arg0?: string;
  readonly arg2?: string;
}

/** A signal as it came in. */
export interface BusSignal {
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

interface PendingCall {
  readonly resolve: (body: readonly unknown[]) => void;
  readonly reject: (error: Error) => void;
}

interface Subscriber {
  readonly match: SignalMatch;
  readonly listener: (signal: BusSignal) => void;
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
  readonly #subscribers = new Set<Subscriber>();
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
  static async connect(address: string, signal?: AbortSignal): Promise<Bus> {
    const bus = new Bus();
    try {
      bus.#connection = await Connection.open(address, {
        message: (message) => bus.#receive(message),
        closed: (error) => bus.#lose(error),
      });
      const hello = await bus.#callDriver('Hello', '', [], { signal, timeoutMs: helloTimeoutMs });
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
  async subscribe(
    match: SignalMatch,
    listener: (signal: BusSignal) => void,
  ): Promise<AsyncDisposable> {
    const subscriber = { match, listener };
    this.#subscribers.add(subscriber);
    const rule = matchRule(match);
    await this.#callDriver('AddMatch', 's', [rule]);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#subscribers.delete(subscriber);
        if (!this.#gone) await this.#callDriver('RemoveMatch', 's', [rule]);
      },
    };
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
    else if (message.type === messageType.signal) this.#receiveSignal(message);
    else if (isReply(message)) this.#receiveReply(message);
  }

  #receiveReply(message: IncomingMessage): void {
    const pending = this.#pending.get(message.replySerial ?? 0);
    if (pending === undefined) return;
    if (message.bodyError !== undefined) pending.reject(message.bodyError);
    else if (message.type === messageType.reply) pending.resolve(message.body);
    else {
      const [text] = message.body;
      const name = message.errorName ?? 'org.freedesktop.DBus.Error.Failed';
      pending.reject(errorFromWire(name, typeof text === 'string' ? text : ''));
    }
  }

  #receiveSignal(message: IncomingMessage): void {
    const { sender, path, member, bodyError } = message;
    if (bodyError !== undefined || sender === undefined) return;
    if (path === undefined || message.interface === undefined || member === undefined) return;
    const { signature, body } = message;
    const signal = { sender, path, interface: message.interface, member, signature, body };
    for (const { match, listener } of this.#subscribers) {
      if (matches(match, signal)) listener(signal);
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

function lostBus(cause?: Error): ServiceError {
  return new ServiceError('Unavailable', 'the connection to the bus is lost', { cause });
}

function unanswered(call: MethodCall, timeoutMs: number): ServiceError {
  return new ServiceError(
    'Unavailable',
    `${call.destination} did not answer ${call.member} within ${timeoutMs / 1000} s`,
  );
}

function abandoned(call: MethodCall, signal: AbortSignal | undefined): ServiceError {
  const { destination, member } = call;
  return new ServiceError('Cancelled', `the call of ${member} on ${destination} was abandoned`, {
    cause: signal?.reason,
  });
}

function matchRule(match: SignalMatch): string {
  const keys: Readonly<Record<string, string | undefined>> = {
    sender: match.sender,
    path: match.path,
    path_namespace: match.pathNamespace,
    interface: match.interface,
    member: match.member,
    arg0: match.arg0,
    arg2: match.arg2,
  };
  const rules = Object.entries(keys)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}='${value?.replaceAll("'", `'\\''`)}'`);
  return ["type='signal'", ...rules].join(',');
}

/** The bus matches well-known senders by owner; here only unique names and the bus itself can be compared. */
function matches(match: SignalMatch, signal: BusSignal): boolean {
  const { sender, pathNamespace } = match;
  const comparable = sender?.startsWith(':') === true || sender === driver.destination;
  if (comparable && sender !== signal.sender) return false;
  if (match.path !== undefined && match.path !== signal.path) return false;
  if (pathNamespace !== undefined && !`${signal.path}/`.startsWith(`${pathNamespace}/`))
    return false;
  if (match.interface !== undefined && match.interface !== signal.interface) return false;
  if (match.member !== undefined && match.member !== signal.member) return false;
  if (match.arg0 !== undefined && match.arg0 !== signal.body[0]) return false;
  return match.arg2 === undefined || match.arg2 === signal.body[2];
}
