import type { ModuleName } from '../ids.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';

/** A module as somebody configured it. */
export interface ModuleSource {
  readonly name: ModuleName;
  readonly settings: ModuleSettings;
  readonly env: Readonly<Record<string, string>>;
  /** Whether whoever decided that it may be made was told that it is elevated, or could see it as with the agent. */
  readonly elevated: boolean;
}
