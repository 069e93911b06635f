/**
 * Acts on names, for each at once and then no oftener than every quarter of a second: what a container does
 * to itself, such as a health check that changes its mind, may be an event at any rate.
 */
export class Pacer implements Disposable {
  readonly #act: (name: string) => void;
  readonly #gapMs: number;
  /** By name: when it may be acted on again, and whether it has been asked for since. */
  readonly #paced = new Map<string, { readonly timer: NodeJS.Timeout; asked: boolean }>();

  constructor(act: (name: string) => void, gapMs = 250) {
    this.#act = act;
    this.#gapMs = gapMs;
  }

  /** Acts on a name now, or when its time has come. */
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
