import { ServiceError } from '../../../../errors.ts';
import { JoinedSignal } from '../../../../service/joined-signal.ts';
import type { LogEntry, LogRequest, ModuleLog } from '../../../supervisor/module-type.ts';
import type { EngineConnection } from '../connection/engine-connection.ts';
import { iterable } from '../connection/streams.ts';
import { type RequestContext, statusOf, translate } from '../connection/translate.ts';
import { followedLog } from './followed-log.ts';
import { framedEntries, terminalEntries } from './log-entries.ts';
import { logStream } from './log-request.ts';
import type { Batches, ReadLog } from './positions.ts';
import { steadyRead } from './steady-read.ts';
import { endingAt } from './timed-log.ts';
import { wholeLog } from './whole-log.ts';

/** A container, as far as its log depends on it. */
export interface LoggedContainer {
  readonly id: string;
  readonly isTerminal: boolean;
  /** The name of its log driver. */
  readonly driver: string;
}

/**
 * The log of a container; a followed one ends at the time that is asked for. Requests are made, and fail, before it is
 * iterated.
 */
export async function containerLog(
  container: LoggedContainer,
  options: LogOptions,
): Promise<ModuleLog> {
  const { follow, until, ...rest } = options.request;
  if (follow !== true || until === undefined) return logOf(container, options);
  if (Number(until / 1_000_000n) <= Date.now()) {
    return logOf(container, { ...options, request: { ...rest, until } });
  }
  const end = new AbortController();
  const joined = new JoinedSignal([options.signal, end.signal]);
  try {
    const log = await logOf(container, { ...options, signal: joined.signal });
    return { ...log, entries: disposing(endingAt(log.entries, until, end), joined) };
  } catch (error) {
    joined[Symbol.dispose]();
    throw error;
  }
}

async function logOf(container: LoggedContainer, options: LogOptions): Promise<ModuleLog> {
  const { driver, isTerminal } = container;
  const { request } = options;
  const read = readerOf(container, options);
  // the one whose files a power cut damages; others count lines in their own ways
  if (driver !== 'json-file') return { isTerminal, entries: await read(request) };
  const { follow = false, ...past } = request;
  const steady = steadyRead(read);
  const readWhole = async (part: LogRequest): Promise<Batches> => {
    const askedAt = new Date();
    return wholeLog({ read: steady, request: part, first: await steady(part), askedAt });
  };
  const whole = await readWhole(past);
  const entries = follow ? followedLog({ past: whole, read: steady, readWhole, request }) : whole;
  return { isTerminal, entries };
}

/** What is asked for, and until when. */
export interface LogOptions {
  readonly request: LogRequest;
  readonly connection: EngineConnection;
  readonly context: RequestContext;
  /** How long the engine may take to begin a response. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

function readerOf(
  { id, isTerminal }: LoggedContainer,
  { connection, context, limitMs, signal }: Omit<LogOptions, 'request'>,
): ReadLog {
  return async (request) => {
    // only the beginning of the response has a deadline
    const late = new AbortController();
    const ending = new JoinedSignal([signal, late.signal]);
    const timer = setTimeout(
      () => late.abort(new DOMException(context.action, 'TimeoutError')),
      limitMs,
    );
    try {
      const docker = await connection.open(ending.signal);
      const stream = iterable(await logStream(docker, id, request));
      const entries = (isTerminal ? terminalEntries : framedEntries)(stream);
      return failing(entries, (error) => translate(error, context, signal), ending);
    } catch (error) {
      ending[Symbol.dispose]();
      throw statusOf(error) === 409
        ? removed(context, error)
        : translate(error, context, ending.signal);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The engine answers so while it removes a container. */
function removed({ action }: RequestContext, cause: unknown): ServiceError {
  return new ServiceError('NotFound', `${action}: the container is being removed`, { cause });
}

async function* failing(
  batches: Batches,
  failure: (error: unknown) => Error,
  signal: JoinedSignal,
): AsyncGenerator<readonly LogEntry[]> {
  try {
    yield* disposing(batches, signal);
  } catch (error) {
    throw failure(error);
  }
}

async function* disposing(
  batches: Batches,
  signal: JoinedSignal,
): AsyncGenerator<readonly LogEntry[]> {
  try {
    yield* batches;
  } finally {
    signal[Symbol.dispose]();
  }
}
