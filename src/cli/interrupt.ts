/** A command that the user has ended. */
export class InterruptedError extends Error {
  constructor(message = 'interrupted') {
    super(message);
  }
}

/** Ctrl-C, or one of the signals, aborts in place of ending the process; a second one ends it. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #signals: readonly NodeJS.Signals[];
  readonly #listener = (): void => {
    this[Symbol.dispose]();
    this.#controller.abort(new InterruptedError());
  };

  constructor(signals: readonly NodeJS.Signals[] = ['SIGINT']) {
    this.#signals = signals;
    for (const signal of signals) process.on(signal, this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const signal of this.#signals) process.removeListener(signal, this.#listener);
  }
}
