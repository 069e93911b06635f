import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import type { ServiceName } from '../rig/rig-services.ts';

/** The arguments and options of a call. */
export interface Use {
  readonly args?: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
  /** The details that the service resolves. */
  readonly resolved?: Readonly<Record<string, string>>;
}

/** A detail, another value of it, and the change of the call that yields that value. */
export type OtherDetail = readonly [detail: string, value: string, difference: Use];

/** One call and the authorization requests for it. */
export interface AuthorizedCall {
  readonly service: ServiceName;
  readonly method: string;
  readonly what?: string;
  readonly use: Use;
  readonly requests: readonly AuthorizationRequest[];
  /** Every detail that depends on the call. */
  readonly others: readonly OtherDetail[];
  /** The outcome of the allowed call on a device without cloud and engine; absent where the call is impossible there. */
  readonly outcome?: 'a result' | ErrorCode;
}

/** A use with changes. */
export function differing(use: Use, { args, options, resolved }: Use): Use {
  return {
    args: { ...use.args, ...args },
    options: { ...use.options, ...options },
    resolved: { ...use.resolved, ...resolved },
  };
}

/** The name of a call in titles of tests. */
export function nameOf({
  service,
  method,
  what,
}: Pick<AuthorizedCall, 'service' | 'method' | 'what'>): string {
  return `${service} ${method}${what === undefined ? '' : ` ${what}`}`;
}

/** An argument with another value, which the detail `of` reflects. */
export const argument = (name: string, value: string, of = name): OtherDetail => [
  name,
  value,
  { args: { [of]: value } },
];
