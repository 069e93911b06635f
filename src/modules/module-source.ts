import type { ModuleName } from '../ids.ts';
import { type ModuleSettings, settingsJson } from './docker/create-options/create-options.ts';
import { jsonDigest } from './docker/digest.ts';

/** The configuration of a module. */
export interface ModuleSource {
  readonly name: ModuleName;
  readonly settings: ModuleSettings;
  readonly env: Readonly<Record<string, string>>;
  /** Whether it was authorized as an elevated module, or is the agent of modules.yaml. */
  readonly elevated: boolean;
  /** Of an agent that has updated itself: the digest of the configuration in modules.yaml that this one replaces. */
  readonly base?: string | undefined;
}

/** Identifies a configuration. Credentials for its registry are no part of it. */
export function sourceDigest({ settings, env }: Omit<ModuleSource, 'name' | 'elevated'>): string {
  return jsonDigest({ settings: settingsJson({ ...settings, auth: undefined }), env });
}
