import { randomUUID } from 'node:crypto';

/** What a call passes on to every call that follows from it, also in other services; the context of a call is one. */
export interface Via {
  /** The id of the request that all of them serve, which the journal of each service shows. */
  readonly requestId: string;
  readonly signal: AbortSignal;
}

/** What work passes on that no call asked for, such as a timer's: the id of a request of its own. */
export function ownRequest(signal: AbortSignal): Via {
  return { requestId: randomUUID(), signal };
}
