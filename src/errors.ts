import { quoted, withoutSecrets } from './quoted.ts';

/** The closed set of failures that a caller can see; only `src/dbus` maps them to D-Bus error names. */
export type ErrorCode =
  | 'AccessDenied'
  | 'InteractiveAuthorizationRequired'
  | 'InvalidArgs'
  | 'LimitsExceeded'
  | 'UnknownMethod'
  | 'UnknownObject'
  | 'UnknownInterface'
  | 'UnknownProperty'
  | 'PropertyReadOnly'
  | 'NotFound'
  | 'AlreadyExists'
  | 'NotSupported'
  | 'Unavailable'
  | 'NotProvisioned'
  | 'Cancelled'
  | 'Failed';

/** A failure that the caller may see. Any other error becomes `Failed` on the bus, without detail. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;

  /** Removes from the message what looks like a secret. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(withoutSecrets(message), options);
    this.code = code;
  }
}

/** InvalidArgs that lists the known texts: `"md5" is not a hash: there is sha256, sha384`. */
export function notOneOf(text: string, what: string, known: Iterable<string>): ServiceError {
  const message = `${quoted(text)} is not ${what}: there is ${[...known].join(', ')}`;
  return new ServiceError('InvalidArgs', message);
}

/** Narrows a text to one of the known ones; throws InvalidArgs, which lists them, for another. */
export function oneOf<const T extends string>(text: string, what: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found === undefined) throw notOneOf(text, what, known);
  return found;
}

/** Whether this is a `ServiceError`, with the given code if any. */
export function isServiceError(error: unknown, code?: ErrorCode): error is ServiceError {
  return error instanceof ServiceError && (code === undefined || error.code === code);
}

/** The message of an error and its causes, without secrets: `reading key.json: EACCES: permission denied`. */
export function describeError(error: unknown): string {
  const seen = new Set<unknown>();
  const parts: string[] = [];
  for (let current = error; current !== undefined && !seen.has(current); ) {
    seen.add(current);
    parts.push(
      current instanceof Error
        ? current.message
        : typeof current === 'string'
          ? current
          : 'unknown failure',
    );
    current = current instanceof Error ? current.cause : undefined;
  }
  const isRepeated = (part: string, at: number): boolean =>
    parts.slice(0, at).some((before) => before.includes(part));
  const text = parts.filter((part, at) => !isRepeated(part, at) && part !== '').join(': ');
  return withoutSecrets(text);
}

/** The code of an error of a system call, such as `ENOENT`; undefined for any other. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Marks a branch that the type system has proved impossible. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected value ${JSON.stringify(value)}`);
}
