import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { type BundleParts, type BundleRequest, bundleEntries } from './bundle.ts';
import { zip } from './zip.ts';

/** Each reads all logs. */
const most = 2;
/** A reader that takes nothing for so long has stopped. */
const defaultStallMs = 60_000;

/** Support bundles as zip files. */
export class SupportBundles {
  readonly #parts: BundleParts;
  readonly #now: () => Date;
  readonly #stallMs: number;
  readonly #open = new Set<object>();

  constructor(parts: BundleParts, now: () => Date, stallMs = defaultStallMs) {
    this.#parts = parts;
    this.#now = now;
    this.#stallMs = stallMs;
  }

  /**
   * A bundle, produced as it is read; LimitsExceeded while two are. Nothing of it is left when its reader leaves, or takes
   * nothing for a minute; then the rest is Unavailable.
   */
  create(request: BundleRequest, via: Via): AsyncIterable<Uint8Array> {
    if (this.#open.size >= most) {
      throw new ServiceError('LimitsExceeded', `${most} support bundles are being read`);
    }
    const chunks = zip(bundleEntries(this.#parts, request, via), this.#now());
    const place = {};
    this.#open.add(place);
    const leave = (): void => void this.#open.delete(place);
    const unread = new UnreadTimer(this.#stallMs, () => {
      leave();
      void end(chunks);
    });
    // an iteration that never begins does not end either
    via.signal.addEventListener('abort', leave, { once: true });
    if (via.signal.aborted) leave();
    return bytes(chunks, unread, () => {
      via.signal.removeEventListener('abort', leave);
      leave();
    });
  }
}

/** Runs an action when a reader takes nothing for a time. */
class UnreadTimer {
  readonly #timeoutMs: number;
  readonly #act: () => void;
  #timer: NodeJS.Timeout | undefined;
  #hasActed = false;

  constructor(timeoutMs: number, act: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#act = act;
    this.start();
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#hasActed = true;
      this.#act();
    }, this.#timeoutMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The reader takes the next part; Unavailable when it was too late. */
  take(): void {
    this.stop();
    if (this.#hasActed) throw new ServiceError('Unavailable', 'the support bundle was not read');
  }
}

async function* bytes(
  chunks: AsyncGenerator<Uint8Array>,
  unread: UnreadTimer,
  leave: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      unread.take();
      const next = await chunks.next();
      if (next.done === true) return;
      unread.start();
      yield next.value;
    }
  } finally {
    unread.stop();
    leave();
    await end(chunks);
  }
}

/** Ends what a bundle reads. Never rejects. */
async function end(chunks: AsyncGenerator<Uint8Array>): Promise<void> {
  await chunks.return(undefined).catch(() => undefined);
}
