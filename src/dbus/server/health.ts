import type { InterfaceDefinition, Properties } from '../definition.ts';

const maxProblemsLength = 1024;

/** Health and LastError for the problems of a service; empty texts are none. */
export function healthOf(
  problems: readonly string[],
  maxLength = maxProblemsLength,
): { readonly Health: 'ok' | 'degraded'; readonly LastError: string } {
  const text = problems.filter((problem) => problem !== '').join('; ');
  return { Health: text === '' ? 'ok' : 'degraded', LastError: text.slice(0, maxLength) };
}

/** Health and LastError of a manager: those that its service sets, combined with the problems of the process. */
export class ManagerHealth<I extends InterfaceDefinition> {
  readonly #own = new Map<string, unknown>([['Health', 'ok']]);
  readonly #problems = new Map<string, string>();

  /** The values that a service sets, combined with the problems of the process. */
  over(values: Partial<Properties<I>>): Partial<Properties<I>> {
    this.#record(values);
    if (this.#problems.size === 0) return values;
    const touched = Object.keys(this.#combined()).some((name) => Object.hasOwn(values, name));
    return touched ? { ...values, ...this.#combined() } : values;
  }

  /** Sets a problem of the process by its subject, '' for none, and returns the values that show it. */
  with(subject: string, problem: string): Partial<Properties<I>> {
    if (problem === '') this.#problems.delete(subject);
    else this.#problems.set(subject, problem);
    return this.#combined();
  }

  #record(values: Partial<Properties<I>>): void {
    for (const name of ['Health', 'LastError']) {
      const value = new Map<string, unknown>(Object.entries(values)).get(name);
      if (value !== undefined) this.#own.set(name, value);
    }
  }

  #combined(): Partial<Properties<I>> {
    const own = this.#own.get('LastError');
    const texts = [...this.#problems.values(), typeof own === 'string' ? own : ''].filter(Boolean);
    const combined = {
      Health: this.#problems.size === 0 ? this.#own.get('Health') : 'degraded',
      LastError: texts.join('; '),
    };
    return combined as Partial<Properties<I>>; // every manager has these two
  }
}
