import { setMaxListeners } from 'node:events';

/**
 * A signal that aborts with the first of its sources, until it is disposed of. Results of AbortSignal.any that had a
 * listener live as long as the longest-lived of their sources (Node 20): where that is the life of the process and the
 * result belongs to one request, memory grows without bound.
 */
export class JoinedSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #abort: (event: Event) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(sources: readonly AbortSignal[]) {
    this.#sources = sources;
    this.#abort = ({ target }) => {
      if (target instanceof AbortSignal) this.#controller.abort(target.reason);
      // it may never be disposed of: a generator that is not started disposes of nothing
      this[Symbol.dispose]();
    };
    const ended = sources.find((source) => source.aborted);
    if (ended !== undefined) this.#controller.abort(ended.reason);
    else {
      // as many as there are requests at once: Node would take more than ten for a leak
      setMaxListeners(0, ...sources);
      for (const source of sources) source.addEventListener('abort', this.#abort);
    }
  }

  /** Also aborts after this time, with a TimeoutError as AbortSignal.timeout has. */
  static within(ms: number, source: AbortSignal): JoinedSignal {
    const joined = new JoinedSignal([source]);
    const late = (): void =>
      joined.#controller.abort(new DOMException('it took too long', 'TimeoutError'));
    joined.#timer = setTimeout(late, ms).unref();
    return joined;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source.removeEventListener('abort', this.#abort);
  }
}
