import type { ModuleName } from '../ids.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';

/** The configuration of a module. */
export interface ModuleSource {
  readonly name: ModuleName;
  readonly settings: ModuleSettings;
  readonly env: Readonly<Record<string, string>>;
  /** Whether it was authorized as an elevated module, or is the agent of modules.yaml. */
  readonly elevated: boolean;
}
