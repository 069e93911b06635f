import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { JoinedSignal } from '../../../../service/joined-signal.ts';
import type { InstanceEnd } from '../../../supervisor/module-type.ts';
import { type EngineConnection, noticeMs } from '../connection/engine-connection.ts';
import { iterable, jsonLines } from '../connection/streams.ts';
import { isConnectionLoss, translate } from '../connection/translate.ts';
import { type ContainerSummary, changedNames, eventOf, secondsOf } from './event.ts';
import type { KillRequests } from './kill-requests.ts';

/** The events that change a container: not those of its health check commands, which may be frequent. */
const followedEvents =
  'create start kill stop die destroy remove pause unpause rename update health_status connect disconnect'.split(
    ' ',
  );
const action = 'listening to the container engine';
/** A stream that ends sooner is not replaced at once: each one costs the engine a list of containers. */
const shortestMs = 1_000;
/** A restart of the engine behind a socket of systemd, which accepts connections meanwhile, takes longer. */
const reopeningMs = 2_000;

/** Dependencies of the events. */
export interface ContainerEventsOptions {
  readonly connection: EngineConnection;
  /** Lists our containers by their ids. */
  readonly list: (signal: AbortSignal) => Promise<ReadonlyMap<string, ContainerSummary>>;
  readonly onEnd?: ((end: InstanceEnd) => void) | undefined;
  /** Notes the containers whose end a client requested. */
  readonly kills: KillRequests;
}

/**
 * The events of our containers. A stream that ends is replaced: socket proxies end idle ones. The new one begins with the
 * time of the last event, and a list shows what the engine does not repeat. Only when it cannot be opened, the engine is
 * lost.
 */
export class ContainerEvents {
  readonly #options: ContainerEventsOptions;
  #stream: EventStream;
  #known: Map<string, ContainerSummary>;
  #openedMs: number;
  /** The time of the last event, in seconds since the epoch. */
  #since: number;

  private constructor(options: ContainerEventsOptions, stream: EventStream) {
    this.#options = options;
    this.#stream = stream;
    this.#known = new Map();
    this.#openedMs = performance.now();
    this.#since = nowSeconds();
  }

  /** Resolves when the engine reports events; throws Unavailable when it does not. */
  static async open(
    options: ContainerEventsOptions,
    signal: AbortSignal,
  ): Promise<ContainerEvents> {
    const { connection, list } = options;
    const stream = await open(connection, {}, signal);
    try {
      const events = new ContainerEvents(options, stream);
      events.#known = new Map(await list(signal));
      return events;
    } catch (error) {
      stream[Symbol.dispose]();
      throw error;
    }
  }

  /** The names of our containers that change, and those that others no longer have. The loss of the engine ends the iteration with Unavailable. */
  async *names(signal: AbortSignal): AsyncGenerator<string> {
    for (;;) {
      yield* this.#untilEnd(signal);
      yield* await this.#reopen(signal);
    }
  }

  /** The names in the events, until the stream ends or its connection is lost. */
  async *#untilEnd(signal: AbortSignal): AsyncGenerator<string> {
    const { socketPath } = this.#options.connection;
    using stream = this.#stream;
    try {
      for await (const event of jsonLines(stream.events)) {
        this.#since = secondsOf(event) ?? this.#since;
        yield* this.#namesIn(event);
      }
    } catch (error) {
      // whether the engine is lost too, a new connection shows
      if (signal.aborted || !isConnectionLoss(error)) {
        throw translate(error, { action, socketPath }, signal);
      }
    }
  }

  #namesIn(value: object): readonly string[] {
    const event = eventOf(value);
    if (event === undefined) return [];
    const { id, names, isOurs, isRemoval } = event;
    // that of others may have had the name of a module
    if (!isOurs) return isRemoval || names.length > 1 ? names : [];
    this.#options.kills.note(event);
    // its end, if any, is an event of its own
    if (event.request === 'end') return [];
    const [name] = names;
    // an event of a network has no name of the container
    if (name === undefined) return [this.#known.get(id)?.name ?? []].flat();
    if (isRemoval) this.#known.delete(id);
    else this.#known.set(id, { name, state: '' });
    if (event.end !== undefined) this.#options.onEnd?.({ id, name, ...event.end });
    return names;
  }

  /** Replaces a stream that has ended; returns the names of the containers that changed since. */
  async #reopen(signal: AbortSignal): Promise<readonly string[]> {
    const { connection, list } = this.#options;
    const { socketPath } = connection;
    const restMs = this.#openedMs + shortestMs - performance.now();
    try {
      if (restMs > 0) await sleep(restMs, undefined, { signal, ref: false });
    } catch (error) {
      throw translate(error, { action, socketPath }, signal);
    }
    this.#openedMs = performance.now();
    const opening = { since: this.#since, limitMs: reopeningMs };
    this.#stream = await open(connection, opening, signal);
    const before = this.#known;
    try {
      this.#known = new Map(await list(signal));
    } catch (error) {
      this.#stream[Symbol.dispose]();
      throw error;
    }
    return changedNames(before, this.#known);
  }
}

interface Opening {
  readonly since?: number;
  readonly limitMs?: number;
}

/** A response with events, disposed of at its end: the signal lives as long as the process. */
interface EventStream extends Disposable {
  readonly events: AsyncIterable<unknown>;
}

async function open(
  connection: EngineConnection,
  { since, limitMs = noticeMs }: Opening,
  signal: AbortSignal,
): Promise<EventStream> {
  // without a filter for labels: events of networks have none
  const filters = JSON.stringify({ type: ['container', 'network'], event: followedEvents });
  // only the beginning of the stream has a deadline
  const end = new AbortController();
  const joined = new JoinedSignal([signal, end.signal]);
  const timer = setTimeout(() => end.abort(new DOMException(action, 'TimeoutError')), limitMs);
  try {
    const docker = await connection.open(joined.signal);
    const query = { filters, ...(since !== undefined && { since }) };
    const events = iterable(await docker.getEvents(query));
    const close = (): void => {
      end.abort();
      joined[Symbol.dispose]();
    };
    return { events, [Symbol.dispose]: close };
  } catch (error) {
    const { socketPath } = connection;
    const failure = translate(error, { action, socketPath }, joined.signal);
    joined[Symbol.dispose]();
    throw failure;
  } finally {
    clearTimeout(timer);
  }
}

/** The clock of the engine is that of this machine. */
function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
