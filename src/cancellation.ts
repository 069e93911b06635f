/**
 * The part of AbortSignal that waiting needs; an AbortSignal is one. The call of a caller is one, too, without an
 * AbortController: creating one and listening to it takes as long as the dispatch of a signature.
 */
export interface Cancellation {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
