import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The path of a file that lies beside the bundles, of which this is in one, else in the output of the build; undefined when not found. */
export function builtFile(name: string): string | undefined {
  return ['.', '../../lib']
    .map((directory) => join(import.meta.dirname, directory, name))
    .find((file) => existsSync(file));
}
