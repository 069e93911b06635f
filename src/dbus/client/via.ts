import { randomUUID } from 'node:crypto';
import type { Cancellation } from '../../cancellation.ts';

/** The context that a call passes to every call that follows from it, also in other services; a CallContext is one. */
export interface Via {
  /** The id of the request that all of them serve, shown in the journal of each service. */
  readonly requestId: string;
  readonly signal: AbortSignal;
  /** The same, where it is cheaper. */
  readonly cancellation?: Cancellation | undefined;
}

/** The context of work that no call requested, such as that of a timer: a new request id. */
export function ownRequest(signal: AbortSignal): Via {
  return { requestId: randomUUID(), signal };
}

/** The context of a call with another deadline. Not by a spread: that leaves out the getters of calls and operations. */
export function within(
  timeoutMs: number,
  { requestId, signal }: Via,
): Via & { readonly timeoutMs: number } {
  return { requestId, signal, timeoutMs };
}
