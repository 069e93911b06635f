import { quoted, withoutSecrets } from './quoted.ts';

/** The closed set of failures a caller can see; `src/dbus` alone maps them to names on the wire. */
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

/** A failure the caller may see. Anything else that is thrown reaches the wire as `Failed`, without detail. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;

  /** Of the message, what looks like a secret is left out. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(withoutSecrets(message), options);
    this.code = code;
  }
}

/** InvalidArgs that says what there is: `"md5" is not a hash: there is sha256, sha384`. */
export function notOneOf(text: string, what: string, known: Iterable<string>): ServiceError {
  const message = `${quoted(text)} is not ${what}: there is ${[...known].join(', ')}`;
  return new ServiceError('InvalidArgs', message);
}

/** The known text that this is, or InvalidArgs that says which there are. */
export function oneOf<const T extends string>(text: string, what: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found === undefined) throw notOneOf(text, what, known);
  return found;
}

/** Whether this is a `ServiceError`, of the given code when one is named. */
export function isServiceError(error: unknown, code?: ErrorCode): error is ServiceError {
  return error instanceof ServiceError && (code === undefined || error.code === code);
}

/** The message of an error and of its causes, without secrets, for the journal: `reading key.json: EACCES: permission denied`. */
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
  const said = (part: string, at: number): boolean =>
    parts.slice(0, at).some((before) => before.includes(part));
  const text = parts.filter((part, at) => !said(part, at) && part !== '').join(': ');
  return withoutSecrets(text);
}

/** The code of what the system refused, such as `ENOENT`; undefined for every other failure. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Marks a branch that the type system has proved impossible. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected value ${JSON.stringify(value)}`);
}
