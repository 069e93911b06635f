import { type ErrorCode, ServiceError, systemCode } from '../../errors.ts';

/** A message may quote what a module is made from, and goes to the journal at every attempt. */
const longestMessage = 1024;

/** What an error from the engine's client may carry. */
interface EngineFailure {
  readonly statusCode: number | undefined;
  readonly code: string | undefined;
  readonly message: string;
}

function failureOf(error: unknown): EngineFailure {
  if (!(error instanceof Error)) return { statusCode: undefined, code: undefined, message: '' };
  const statusCode = 'statusCode' in error ? error.statusCode : undefined;
  const json = 'json' in error ? error.json : undefined;
  const said =
    typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  return {
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    code: systemCode(error),
    message: (typeof said === 'string' ? said : error.message).slice(0, longestMessage),
  };
}

/** The HTTP status that an engine error carries, undefined when the engine did not answer. */
export function statusOf(error: unknown): number | undefined {
  return failureOf(error).statusCode;
}

const codeByStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'InvalidArgs',
  404: 'NotFound',
  409: 'AlreadyExists',
};

/** The failure of an operation (`starting "hub"`) in the words of this project. */
export function translate(error: unknown, doing: string, signal?: AbortSignal): ServiceError {
  if (error instanceof ServiceError) return error;
  if (signal?.aborted === true) return aborted(signal, doing);
  const { statusCode, code, message } = failureOf(error);
  if (statusCode === undefined) {
    const cause = code ?? 'no answer';
    return new ServiceError('Unavailable', `${doing}: container engine: ${cause}`, {
      cause: error,
    });
  }
  return new ServiceError(codeByStatus[statusCode] ?? 'Unavailable', `${doing}: ${message}`, {
    cause: error,
  });
}

function aborted(signal: AbortSignal, doing: string): ServiceError {
  const reason: unknown = signal.reason;
  if (reason instanceof ServiceError) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return late
    ? new ServiceError('Unavailable', `${doing}: the container engine did not answer in time`)
    : new ServiceError('Cancelled', `${doing} was cancelled`);
}

/**
 * The failure of a pull. The engine answers most of what a registry says with 500, or with an `error` in
 * the middle of a successful stream: there is nothing but the text to tell the cases apart.
 */
export function translatePull(message: string, image: string, cause?: unknown): ServiceError {
  const text = `pulling ${JSON.stringify(image)}: ${message.slice(0, longestMessage)}`;
  return new ServiceError(pullCode(message), text, { cause });
}

function pullCode(message: string): ErrorCode {
  if (/unauthorized|no basic auth|authentication required|denied/i.test(message)) {
    return 'InvalidArgs';
  }
  if (/manifest unknown|not found|does not exist/i.test(message)) return 'NotFound';
  if (/invalid reference/i.test(message)) return 'InvalidArgs';
  return 'Unavailable';
}

/** The text of an engine error, for `translatePull`. */
export function messageOf(error: unknown): string {
  return failureOf(error).message;
}
