import { type ErrorCode, ServiceError, systemCode } from '../../../../errors.ts';
import { EngineUnreachable, PullFailure } from '../../../supervisor/module-type.ts';

/** A message may quote the configuration of a module, and is logged at every attempt. */
const longestMessage = 1024;

/** The parts of an error of the engine's client. */
interface EngineFailure {
  readonly statusCode: number | undefined;
  readonly code: string | undefined;
  readonly message: string;
}

function failureOf(error: unknown): EngineFailure {
  if (!(error instanceof Error)) return { statusCode: undefined, code: undefined, message: '' };
  const statusCode = 'statusCode' in error ? error.statusCode : undefined;
  const json = 'json' in error ? error.json : undefined;
  const detail =
    typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  return {
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    code: systemCode(error),
    message: (typeof detail === 'string' ? detail : error.message).slice(0, longestMessage),
  };
}

/** The HTTP status of an engine's error, undefined when there was no response. */
export function statusOf(error: unknown): number | undefined {
  return failureOf(error).statusCode;
}

/** Whether a response ended because its connection was lost. */
export function isConnectionLoss(error: unknown): boolean {
  return !(error instanceof ServiceError) && failureOf(error).statusCode === undefined;
}

/** 409 is a conflict with a concurrent request, such as a removal: it may be retried later. */
const codeByStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'InvalidArgs',
  404: 'NotFound',
  501: 'NotSupported',
};

/** Of an engine that has too much to do, and of a proxy in front of one that does not respond. */
const busyStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** A request to an engine, for messages. */
export interface RequestContext {
  /** Such as `starting "hub"`. */
  readonly action: string;
  readonly socketPath: string;
}

/** Converts a failure of the engine's client to an error of this service. */
export function translate(
  error: unknown,
  context: RequestContext,
  signal?: AbortSignal,
): ServiceError {
  if (error instanceof ServiceError) return error;
  if (signal?.aborted === true) return aborted(signal, context);
  const { action, socketPath } = context;
  const { statusCode, code, message } = failureOf(error);
  if (statusCode === undefined) return unreachableEngine(socketPath, code ?? 'ECONNRESET');
  if (busyStatuses.has(statusCode)) {
    return new EngineUnreachable('Unavailable', `${action}: ${message}`, { cause: error });
  }
  return new ServiceError(codeByStatus[statusCode] ?? 'Unavailable', `${action}: ${message}`, {
    cause: error,
  });
}

/**
 * The error for an unreachable engine, the same for all requests and symptoms: the socket, a hint, and the system's error
 * code.
 */
export function unreachableEngine(socketPath: string, code: string): ServiceError {
  const hint = hints[code] ?? 'is it installed and running?';
  const text = `the container engine at ${socketPath} cannot be reached: ${hint} (${code})`;
  return new EngineUnreachable('Unavailable', text);
}

const hints: Readonly<Record<string, string>> = {
  EACCES: 'may the user of this service connect to its socket?',
  EPERM: 'may the user of this service connect to its socket?',
};

function aborted(signal: AbortSignal, { action, socketPath }: RequestContext): ServiceError {
  const reason: unknown = signal.reason;
  if (reason instanceof ServiceError) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  if (!late) return new ServiceError('Cancelled', `${action} was cancelled`);
  const what = `the container engine at ${socketPath} did not respond in time`;
  return new EngineUnreachable('Unavailable', `${what}: is it overloaded? (${action})`);
}

/** The failure of a pull for which the engine's disk has too little space. */
export class PullDiskFull extends PullFailure {}

/** Whether the engine's message about a failure means that its disk is full. */
export function meansDiskFull(message: string): boolean {
  return /no space left on device|disk quota exceeded/i.test(message);
}

/**
 * The error of a failed pull. The engine reports most responses of a registry with status 500, or as an `error` within a
 * successful stream: only the text distinguishes the cases.
 */
export function translatePull(message: string, image: string, cause?: unknown): ServiceError {
  const text = `pulling ${JSON.stringify(image)}: ${message.slice(0, longestMessage)}`;
  if (/invalid reference/i.test(message)) return new ServiceError('InvalidArgs', text, { cause });
  const Failure = meansDiskFull(message) ? PullDiskFull : PullFailure;
  return new Failure(pullCode(message), text, { cause });
}

function pullCode(message: string): ErrorCode {
  if (/unauthorized|no basic auth|authentication required|denied/i.test(message)) {
    return 'InvalidArgs';
  }
  if (/manifest unknown|not found|does not exist/i.test(message)) return 'NotFound';
  return 'Unavailable';
}

/** The message of an engine's error, for `translatePull`. */
export function messageOf(error: unknown): string {
  return failureOf(error).message;
}
