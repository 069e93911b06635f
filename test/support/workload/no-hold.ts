import type { HeldCall } from '../../../src/modules/api/http/hold.ts';

/** A call for a request that is not held during an outage: failures are immediate. */
export function callWithoutHold(): HeldCall {
  const { signal } = new AbortController();
  return { requestId: 'r', signal, hold: { leftMs: () => 0, wait: () => Promise.resolve() } };
}
