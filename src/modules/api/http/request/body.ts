import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../failure.ts';
import { duplicateMember } from './duplicate-member.ts';
import { isNestedDeeper } from './nesting.ts';

/** The limit on bodies of routes that state no other. */
const maxBodyBytes = 1 << 20;
const maxBodyMs = 5_000;
/** That of the original's parser; a value costs far more memory than its text, and what is deeper cannot be written. */
const maxNesting = 128;

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

/** How a body is read. */
export interface BodyLimits {
  readonly maxBytes?: number | undefined;
  /** The status of a member that an object at this path has twice. */
  readonly duplicateStatus?: ((path: readonly string[]) => number) | undefined;
}

/**
 * Reads the JSON body of a request; undefined when it has none, or one of another type: only PUT is refused then. Rejects
 * with HttpProblem when it is too slow, too long or not JSON, and with the reason of `broken` when the connection fails
 * before its end.
 */
export async function readJson(
  request: IncomingMessage,
  broken: AbortSignal,
  { maxBytes = maxBodyBytes, duplicateStatus }: BodyLimits = {},
): Promise<JsonBody> {
  const isPut = request.method === 'PUT';
  const isOfType = isJson(request.headers['content-type']);
  if (isPut && !isOfType) throw new HttpProblem(415, 'the body is not application/json');
  const body = await readBody(request, broken, maxBytes);
  try {
    if (body.length === 0 && isPut) throw new HttpProblem(422, 'the request has no body');
    const text = isOfType && body.length > 0 ? textOf(body) : undefined;
    if (text === undefined) return { json: undefined, bytes: 0 };
    if (isNestedDeeper(text, maxNesting))
      throw new HttpProblem(422, 'the body is nested too deeply');
    const json = parse(text);
    const path = duplicateMember(text);
    if (path === undefined) return { json, bytes: body.length };
    const what = `the body has ${JSON.stringify(path.at(-1)?.slice(0, 80))} twice`;
    throw new HttpProblem(duplicateStatus?.(path) ?? 422, what);
  } finally {
    body.fill(0);
  }
}

/** Whether a body is taken as JSON: most clients send no type. */
function isJson(type: string | undefined): boolean {
  return type === undefined || type.split(';', 1)[0]?.trim() === 'application/json';
}

function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw new HttpProblem(422, 'the body is not UTF-8');
  return body.toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // the parser's message quotes the body, which may be a plaintext
    throw new HttpProblem(422, 'the body is not JSON');
  }
}

function readBody(
  request: IncomingMessage,
  broken: AbortSignal,
  maxBytes: number,
): Promise<Buffer> {
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
      if (size > maxBytes) fail(new HttpProblem(413, `the body is longer than ${maxBytes} bytes`));
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
