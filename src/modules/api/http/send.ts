import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Exchange } from './exchange.ts';
import { reasonOf } from './failure.ts';
import { discard } from './request/body.ts';
import type { ApiReply, StreamBody } from './route.ts';
import { abandon, type Streams } from './streams.ts';
import type { Unsent } from './unsent.ts';

/** A client that sends its whole body before it reads must be able to, or it never receives the refusal. */
const discardLimits = { bytes: 32 << 20, ms: 5_000, stallMs: 250 };
/** Limits after the response. A client that expects 100-continue seldom sends its body when it is refused. */
const lateLimits = { ...discardLimits, stallMs: discardLimits.ms };
const expectingLimits = { ...discardLimits, ms: 250 };
/** Announced to clients; less than the actual idle timeout. */
const keepAlive = 'timeout=120';

/** What responses of a socket share. */
export interface SendParts {
  readonly unsent: Unsent;
  readonly streams: Streams;
}

/**
 * Sends the response after the rest of the request, or at once when that stalls; drains it for a while then. Rejects only
 * when a stream cannot be sent to its end.
 */
export async function send(
  { unsent, streams }: SendParts,
  exchange: Exchange,
  reply: ApiReply,
): Promise<void> {
  const { closed, request, response } = exchange;
  const { stream } = reply;
  if (stream !== undefined) return sendStream(streams, exchange, { status: reply.status, stream });
  const body = bodyOf(reply);
  const sendBody = async (): Promise<void> => {
    const rest = await begin(exchange, reply.status, {
      type: 'application/json',
      length: body.length,
    });
    if (body.length > 0) response.write(body);
    await end(exchange, rest);
  };
  if (!closed.aborted) await unsent.take(body.length, sendBody, () => request.socket.destroy());
  reply.secretJson?.fill(0);
}

function bodyOf({ status, secretJson, jsonBytes, json = {} }: ApiReply): Buffer {
  if (status === 204) return Buffer.alloc(0);
  return secretJson ?? jsonBytes ?? Buffer.from(JSON.stringify(json));
}

async function sendStream(
  streams: Streams,
  exchange: Exchange,
  { status, stream }: { readonly status: number; readonly stream: StreamBody },
): Promise<void> {
  const { closed, request, response } = exchange;
  if (closed.aborted) return abandon(stream.chunks[Symbol.asyncIterator]());
  const rest = await begin(exchange, status, { type: stream.type });
  try {
    await streams.write(response, stream, closed);
  } catch (error) {
    // without the last chunk, which would make it whole
    request.socket.destroy();
    throw error;
  }
  await streams.whileRead(response, () => end(exchange, rest));
}

/** What became of the body that the client sends. */
type Rest = Awaited<ReturnType<typeof discard>>;

/** Writes the head of the response. */
async function begin(
  { request, response, broken, expects }: Exchange,
  status: number,
  { type, length }: { readonly type: string; readonly length?: number },
): Promise<Rest | 'unsure'> {
  // the client may send its body, or the next request instead
  const isUnsure = expects !== 'nothing' && !request.complete;
  if (isUnsure || broken.aborted || status === 408) response.shouldKeepAlive = false;
  const rest = isUnsure ? 'unsure' : await discard(request, broken, discardLimits);
  const headers = {
    ...(status !== 204 && { 'Content-Type': type }),
    ...(status !== 204 && length !== undefined && { 'Content-Length': length }),
    ...(response.shouldKeepAlive && { 'Keep-Alive': keepAlive }),
  };
  const reason = reasonOf(status);
  if (reason === undefined) response.writeHead(status, headers);
  else response.writeHead(status, reason, headers);
  if (length === undefined) response.flushHeaders();
  return rest;
}

/** Ends the response, after the rest of the request. */
async function end(
  { request, response, broken }: Exchange,
  before: Rest | 'unsure',
): Promise<void> {
  const limits = before === 'unsure' ? expectingLimits : lateLimits;
  const isLate = before === 'unsure' || before === 'stalled';
  const rest = isLate ? await discard(request, broken, limits) : before;
  await ended(request, response, rest === 'whole');
}

function ended(request: IncomingMessage, response: ServerResponse, whole: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || response.writableFinished) resolve();
    response.on('close', resolve);
    response.end(() => {
      if (!whole) request.socket.destroy();
    });
  });
}
