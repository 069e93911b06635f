import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { type BundleParts, type BundleRequest, bundleEntries } from './bundle.ts';
import { zip } from './zip.ts';

/** Each reads all logs. */
const most = 2;

/** Support bundles as zip files. */
export class SupportBundles {
  readonly #parts: BundleParts;
  readonly #now: () => Date;
  readonly #open = new Set<object>();

  constructor(parts: BundleParts, now: () => Date) {
    this.#parts = parts;
    this.#now = now;
  }

  /** A bundle, produced as it is read; LimitsExceeded while two are. Nothing of it is left when its reader leaves. */
  create(request: BundleRequest, via: Via): AsyncIterable<Uint8Array> {
    if (this.#open.size >= most) {
      throw new ServiceError('LimitsExceeded', `${most} support bundles are being read`);
    }
    const place = {};
    this.#open.add(place);
    const leave = (): void => void this.#open.delete(place);
    // an iteration that never begins does not end either
    via.signal.addEventListener('abort', leave, { once: true });
    if (via.signal.aborted) leave();
    return this.#bytes(request, via, leave);
  }

  async *#bytes(request: BundleRequest, via: Via, leave: () => void): AsyncGenerator<Uint8Array> {
    try {
      yield* zip(bundleEntries(this.#parts, request, via), this.#now());
    } finally {
      via.signal.removeEventListener('abort', leave);
      leave();
    }
  }
}
