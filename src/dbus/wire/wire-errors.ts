import { type ErrorCode, ServiceError } from '../../errors.ts';

const standard: readonly ErrorCode[] = [
  'AccessDenied',
  'InteractiveAuthorizationRequired',
  'InvalidArgs',
  'LimitsExceeded',
  'UnknownMethod',
  'UnknownObject',
  'UnknownInterface',
  'UnknownProperty',
  'PropertyReadOnly',
];
const own: readonly ErrorCode[] = [
  'NotFound',
  'AlreadyExists',
  'NotSupported',
  'Unavailable',
  'NotProvisioned',
  'Cancelled',
  'Failed',
];

const wireNames = new Map<ErrorCode, string>([
  ...standard.map((code) => [code, `org.freedesktop.DBus.Error.${code}`] as const),
  ...own.map((code) => [code, `org.iotedge.Error.${code}`] as const),
]);
const codes = new Map([...wireNames].map(([code, name]) => [name, code]));

/** Errors of the bus itself that mean that the service is unreachable. */
const unreachableNames = new Set(
  ['ServiceUnknown', 'NameHasNoOwner', 'NoReply', 'Disconnected', 'TimedOut', 'Timeout'].map(
    (name) => `org.freedesktop.DBus.Error.${name}`,
  ),
);

/** Prefixes of the error names of a failed activation, by the bus itself and by systemd. */
const activationFailures = ['org.freedesktop.DBus.Error.Spawn', 'org.freedesktop.systemd1.'];

/** An error reply whose name has no ErrorCode. */
export class BusError extends Error {
  override readonly name = 'BusError';
  readonly errorName: string;

  constructor(errorName: string, message: string) {
    super(message === '' ? errorName : message);
    this.errorName = errorName;
  }
}

/** The D-Bus error name of a code. */
export function wireNameOf(code: ErrorCode): string {
  return wireNames.get(code) ?? 'org.iotedge.Error.Failed';
}

/** The error of an error reply; Unavailable when the service is unreachable. */
export function errorFromWire(errorName: string, message: string): ServiceError | BusError {
  const code = codes.get(errorName);
  if (code !== undefined) return new ServiceError(code, message);
  const cause = new BusError(errorName, message);
  const unreachable =
    unreachableNames.has(errorName) || activationFailures.some((one) => errorName.startsWith(one));
  return unreachable ? new ServiceError('Unavailable', cause.message, { cause }) : cause;
}
