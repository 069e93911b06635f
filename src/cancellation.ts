/**
 * What waiting for a key needs of an AbortSignal, which is one. The one of a call is no object of its own until somebody
 * listens: a signature asks once whether it is aborted, and an AbortController takes longer than its dispatch.
 */
export interface Cancellation {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
