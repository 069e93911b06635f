import type { ModuleSource } from './module-source.ts';

/** What an update leaves as it is where it says nothing about it. */
export interface Kept {
  readonly env: boolean;
  /** Credentials for the registry; only for that registry, as who updates a module may not know them. */
  readonly auth: boolean;
}

/** The configuration of an update, with what it keeps of the present one. */
export function withKept(
  source: ModuleSource,
  present: ModuleSource | undefined,
  kept: Kept,
): ModuleSource {
  if (present === undefined) return source;
  const { settings } = source;
  const isSameRegistry = registryOf(settings.image) === registryOf(present.settings.image);
  const auth = kept.auth && isSameRegistry ? present.settings.auth : undefined;
  return {
    ...source,
    settings: { ...settings, auth: settings.auth ?? auth },
    env: kept.env ? { ...present.env, ...source.env } : source.env,
  };
}

/** The registry of an image, by the rule of Docker: a first part that is no host belongs to Docker Hub. */
function registryOf(image: string): string {
  const [first = '', ...others] = image.split('/');
  const isHost = others.length > 0 && /[.:]|^localhost$|^[$]upstream$/.test(first);
  return isHost ? first : 'docker.io';
}
