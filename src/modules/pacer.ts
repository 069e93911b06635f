/**
 * Limits the rate of actions by name: the first is immediate, further ones follow at most every quarter of a second.
 * Events that a container causes, such as those of its health check, may come at any rate.
 */
export class Pacer implements Disposable {
  readonly #act: (name: string) => void;
  readonly #gapMs: number;
  /** By name: the end of its pause, and whether an action was requested since. */
  readonly #paced = new Map<string, { readonly timer: NodeJS.Timeout; asked: boolean }>();

  constructor(act: (name: string) => void, gapMs = 250) {
    this.#act = act;
    this.#gapMs = gapMs;
  }

  /** Acts on a name now, or at the end of its pause. */
  call(name: string): void {
    const paced = this.#paced.get(name);
    if (paced === undefined) this.#go(name);
    else paced.asked = true;
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#paced.values()) clearTimeout(timer);
    this.#paced.clear();
  }

  #go(name: string): void {
    const timer = setTimeout(() => {
      const again = this.#paced.get(name)?.asked === true;
      this.#paced.delete(name);
      if (again) this.#go(name);
    }, this.#gapMs).unref();
    this.#paced.set(name, { timer, asked: false });
    this.#act(name);
  }
}
