import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The path of a file that lies beside the bundles, of which this is in one, else in the output of the build; undefined when not found. */
export function builtFile(name: string): string | undefined {
  return ['./', '../../lib/']
    .map((directory) => fileURLToPath(new URL(`${directory}${name}`, import.meta.url)))
    .find((file) => existsSync(file));
}
