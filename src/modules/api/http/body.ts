import type { IncomingMessage } from 'node:http';
import { HttpProblem } from './failure.ts';

const maxBodyBytes = 2 << 20;
const maxBodyMs = 5_000;

/** Limits on the size and time of draining an unwanted request body. */
export interface DiscardLimits {
  readonly bytes: number;
  readonly ms: number;
  /** Maximum time without data. */
  readonly stallMs: number;
}

/** A parsed JSON body and its length. */
export interface JsonBody {
  readonly json: unknown;
  readonly bytes: number;
}

/**
 * Reads the JSON body of a request; undefined when it has none. Rejects with HttpProblem when it is too slow, too long
 * or not JSON, and with the reason of `broken` when the connection fails before its end.
 */
export async function readJson(request: IncomingMessage, broken: AbortSignal): Promise<JsonBody> {
  const body = await readBody(request, broken);
  if (body.length === 0) return { json: undefined, bytes: 0 };
  try {
    return { json: JSON.parse(body.toString()), bytes: body.length };
  } catch {
    // the parser's message quotes the body, which may be a plaintext
    throw new HttpProblem(422, 'the body is not JSON');
  } finally {
    body.fill(0);
  }
}

function readBody(request: IncomingMessage, broken: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      clearImmediate(afterReads);
      request.pause();
      request.off('data', take).off('end', end).off('error', cut).off('close', cut);
      broken.removeEventListener('abort', cut);
    };
    const fail = (problem: unknown): void => {
      stop();
      for (const chunk of chunks) chunk.fill(0);
      reject(problem);
    };
    const cut = (): void => {
      fail(broken.aborted ? broken.reason : new HttpProblem(400, 'the body was cut off'));
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > maxBodyBytes) fail(new HttpProblem(413, 'the body is longer than 2 MiB'));
    };
    const end = (): void => {
      stop();
      const body = Buffer.concat(chunks);
      for (const chunk of chunks) chunk.fill(0);
      resolve(body);
    };
    const late = (): void => fail(new HttpProblem(408, 'the body did not come in time'));
    // first reads what arrived while the event loop was blocked
    let afterReads: NodeJS.Immediate | undefined;
    const timer = setTimeout(() => {
      afterReads = setImmediate(late);
    }, maxBodyMs);
    broken.addEventListener('abort', cut, { once: true });
    request.on('data', take).on('end', end).on('error', cut).on('close', cut);
    if (broken.aborted || request.destroyed) cut();
  });
}

/** Reads and drops the rest of a request, until its end or a limit. */
export function discard(
  request: IncomingMessage,
  broken: AbortSignal,
  limits: DiscardLimits,
): Promise<'whole' | 'stalled' | 'over'> {
  if (request.complete && request.readableLength === 0) {
    request.resume();
    return Promise.resolve('whole');
  }
  let size = 0;
  return new Promise((resolve) => {
    const finish = (outcome: 'whole' | 'stalled' | 'over'): void => {
      clearTimeout(timer);
      clearTimeout(stall);
      request.off('data', take).off('end', end).off('close', cut);
      broken.removeEventListener('abort', cut);
      resolve(outcome);
    };
    const cut = (): void => finish('over');
    const end = (): void => finish('whole');
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      stall.refresh();
      if (size > limits.bytes) cut();
    };
    const timer = setTimeout(cut, limits.ms);
    const stall = setTimeout(() => finish('stalled'), limits.stallMs);
    broken.addEventListener('abort', cut, { once: true });
    request.on('data', take).on('end', end).on('close', cut).resume();
    if (broken.aborted || request.destroyed) cut();
  });
}
