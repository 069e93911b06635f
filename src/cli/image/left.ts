/** What stays on the disk, and what to do about it. */
export interface Left {
  /** Ids of keys in tokens. */
  readonly tokens: readonly string[];
  /** Files of credentials. */
  readonly credentials: readonly string[];
  /** Names of volumes of modules. */
  readonly volumes: readonly string[];
}

/** A line for each kind of what is left. */
export function adviceOn({ tokens, credentials, volumes }: Left): readonly string[] {
  const lines = [];
  if (tokens.length > 0)
    lines.push(`left in tokens, --token-keys deletes them: ${tokens.join(', ')}`);
  if (credentials.length > 0) {
    lines.push(
      `left: credentials of the services, PINs of which this may be the only place; copies have them unless --credentials removes them: ${credentials.join(', ')}`,
    );
  }
  if (volumes.length > 0) {
    lines.push(
      `left: volumes with what modules stored; 'docker volume rm' removes one: ${volumes.join(', ')}`,
    );
  }
  return lines;
}

/** What is left, for programs. */
export function inJson({ tokens, credentials, volumes }: Left): Readonly<Record<string, unknown>> {
  return { left_in_tokens: tokens, left_credentials: credentials, left_volumes: volumes };
}
