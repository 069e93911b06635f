import { isServiceError } from '../../errors.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import type { MessageHeader } from '../wire/message.ts';

const driver = 'org.freedesktop.DBus';

/** The signals of a subscription; a field that is absent matches everything. */
export interface SignalMatch {
  /** For a well-known name, its current owner. */
  readonly sender?: string;
  readonly path?: string;
  readonly pathNamespace?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly arg0?: string;
  readonly arg2?: string;
}

/** A received signal. */
export interface BusSignal {
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

interface Subscriber {
  readonly match: SignalMatch;
  readonly listener: (signal: BusSignal) => void;
  /** The unique name that signals must come from; undefined when the name has no owner. */
  source: string | undefined;
}

type CallDriver = (member: string, body: readonly unknown[]) => Promise<readonly unknown[]>;

/**
 * Delivers signals to the subscribers whose match they fit. The bus applies match rules to broadcasts only: any
 * process may send a unicast signal to this connection, so everything is compared again, above all the sender.
 */
export class Subscriptions {
  readonly #callDriver: CallDriver;
  readonly #ownerOf: (name: string) => Promise<string | undefined>;
  readonly #subscribers = new Set<Subscriber>();

  constructor(callDriver: CallDriver, ownerOf: (name: string) => Promise<string | undefined>) {
    this.#callDriver = callDriver;
    this.#ownerOf = ownerOf;
  }

  /** Listens until the subscription is disposed of. */
  async add(match: SignalMatch, listener: (signal: BusSignal) => void): Promise<AsyncDisposable> {
    const subscriber: Subscriber = { match, listener, source: match.sender };
    const watch = isWellKnown(match.sender)
      ? await this.#followOwner(subscriber, match.sender)
      : undefined;
    this.#subscribers.add(subscriber);
    const rule = matchRule(match);
    try {
      await this.#callDriver('AddMatch', [rule]);
    } catch (error) {
      this.#subscribers.delete(subscriber);
      await watch?.[Symbol.asyncDispose]();
      throw error;
    }
    return {
      [Symbol.asyncDispose]: async () => {
        if (!this.#subscribers.delete(subscriber)) return;
        await this.#removeMatch(rule);
        await watch?.[Symbol.asyncDispose]();
      },
    };
  }

  /** Whether a signal has subscribers, judged by its header. */
  wants(header: MessageHeader): boolean {
    for (const subscriber of this.#subscribers) if (matchesHeader(subscriber, header)) return true;
    return false;
  }

  /** Delivers a signal to its subscribers; one that is too large or malformed is dropped. */
  deliver(message: IncomingMessage, maxElements: number): void {
    const { sender, path, interface: interfaceName, member, signature } = message.header;
    if (sender === undefined || path === undefined) return;
    if (interfaceName === undefined || member === undefined) return;
    const body = bodyOf(message, maxElements);
    if (body === undefined) return;
    const signal = { sender, path, interface: interfaceName, member, signature, body };
    for (const subscriber of this.#subscribers) {
      if (!matchesHeader(subscriber, message.header)) continue;
      if (!matchesBody(subscriber.match, body)) continue;
      try {
        subscriber.listener(signal);
      } catch (error) {
        // a listener that fails must not end the connection that all share
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  /** Makes the source of a subscriber follow the owner of a name. */
  async #followOwner(subscriber: Subscriber, name: string): Promise<AsyncDisposable> {
    let hasChanged = false;
    subscriber.source = undefined;
    const changed = { sender: driver, interface: driver, member: 'NameOwnerChanged', arg0: name };
    const watch = await this.add(changed, ({ body: [, , owner] }) => {
      hasChanged = true;
      subscriber.source = typeof owner === 'string' && owner !== '' ? owner : undefined;
    });
    const owner = await this.#ownerOf(name);
    // a signal that arrived after the reply was handled before this line
    if (!hasChanged) subscriber.source = owner;
    return watch;
  }

  async #removeMatch(rule: string): Promise<void> {
    try {
      await this.#callDriver('RemoveMatch', [rule]);
    } catch (error) {
      if (!isServiceError(error, 'Unavailable')) throw error; // a lost bus has no match rules
    }
  }
}

function isWellKnown(sender: string | undefined): sender is string {
  return sender !== undefined && !sender.startsWith(':') && sender !== driver;
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

function bodyOf(message: IncomingMessage, maxElements: number): readonly unknown[] | undefined {
  try {
    return message.decode(maxElements);
  } catch {
    return undefined;
  }
}

function matchesHeader({ match, source }: Subscriber, message: MessageHeader): boolean {
  const { path, pathNamespace } = match;
  if (match.sender !== undefined && source !== message.sender) return false;
  if (path !== undefined && path !== message.path) return false;
  if (pathNamespace !== undefined && !isBelow(message.path, pathNamespace)) return false;
  if (match.interface !== undefined && match.interface !== message.interface) return false;
  return match.member === undefined || match.member === message.member;
}

function isBelow(path: string | undefined, namespace: string): boolean {
  return namespace === '/' || path === namespace || path?.startsWith(`${namespace}/`) === true;
}

function matchesBody({ arg0, arg2 }: SignalMatch, body: readonly unknown[]): boolean {
  if (arg0 !== undefined && arg0 !== body[0]) return false;
  return arg2 === undefined || arg2 === body[2];
}
