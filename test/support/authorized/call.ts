import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import type { ServiceName } from '../rig/rig-services.ts';

/** What a method is called with. */
export interface Use {
  readonly args?: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
  /** What the service tells about the call. */
  readonly resolved?: Readonly<Record<string, string>>;
}

/** A detail, another value of it, and what must be different in the call for that. */
export type OtherDetail = readonly [detail: string, value: string, difference: Use];

/** One call and the questions about it. */
export interface AuthorizedCall {
  readonly service: ServiceName;
  readonly method: string;
  readonly what?: string;
  readonly use: Use;
  readonly asks: readonly AuthorizationRequest[];
  /** Every detail that a caller can make another. */
  readonly others: readonly OtherDetail[];
  /** What the allowed call answers on a device without a cloud and an engine; absent where it cannot be made there. */
  readonly answer?: 'a result' | ErrorCode;
}

/** A use with a difference. */
export function differing(use: Use, { args, options, resolved }: Use): Use {
  return {
    args: { ...use.args, ...args },
    options: { ...use.options, ...options },
    resolved: { ...use.resolved, ...resolved },
  };
}

/** How a call is named in the names of tests. */
export function nameOf({
  service,
  method,
  what,
}: Pick<AuthorizedCall, 'service' | 'method' | 'what'>): string {
  return `${service} ${method}${what === undefined ? '' : ` ${what}`}`;
}

/** An argument of another value, which a detail of its own name, or this, shows. */
export const argument = (name: string, value: string, of = name): OtherDetail => [
  name,
  value,
  { args: { [of]: value } },
];
