import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { InterruptedError } from '../../interrupt.ts';

/** How the wait for a reply is interrupted. */
export interface Waiting {
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** So long the wait goes on after the signal. */
  readonly patienceMs?: number;
}

/**
 * The reply to a call that a signal does not undo: after the signal it is waited for a little longer. InterruptedError
 * when it does not come, whose message says `what` is unknown, such as `whether there is a key device-id now`.
 */
export async function replyTo<T>(
  reply: Promise<T>,
  what: string,
  { signal, note, patienceMs = 10_000 }: Waiting,
): Promise<T> {
  const replied = new AbortController();
  const impatience = (async () => {
    if (!signal.aborted) await once(signal, 'abort', { signal: replied.signal });
    note('interrupted: waiting for a reply that is due, to leave nothing behind');
    await setTimeout(patienceMs, undefined, { signal: replied.signal });
    throw new InterruptedError(`interrupted; there was no reply, so it is not known ${what}`);
  })();
  try {
    return await Promise.race([reply, impatience]);
  } finally {
    replied.abort();
    reply.catch(() => undefined); // it comes too late
    impatience.catch(() => undefined); // ended by the reply
  }
}
