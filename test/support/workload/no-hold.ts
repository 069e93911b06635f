import type { HeldCall } from '../../../src/modules/api/hold.ts';

/** A call of a request that is not held: what fails, fails at once. */
export function callWithoutHold(): HeldCall {
  const { signal } = new AbortController();
  return { requestId: 'r', signal, hold: { leftMs: () => 0, wait: () => Promise.resolve() } };
}
