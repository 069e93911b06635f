/**
 * The part of AbortSignal that waiting for a key needs; an AbortSignal is one. The call of a caller is one, too, without an
 * AbortController until a listener is added: creating one takes as long as the dispatch of a signature.
 */
export interface Cancellation {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
