import type { ModuleSource } from '../../module-source.ts';

/**
 * The warnings of pulls. Each is about the configuration that was pulled for: a roll-back leaves it behind, and brings
 * back that of the configuration before.
 */
export class PullWarnings {
  readonly #warnings = new WeakMap<ModuleSource, string>();

  /** The warning of the last pull for a configuration, `` for none. */
  of(source: ModuleSource): string {
    return this.#warnings.get(source) ?? '';
  }

  /** Replaces the warning of the pull before; `` for a pull without one. */
  set(source: ModuleSource, warning: string): void {
    this.#warnings.set(source, warning);
  }
}
