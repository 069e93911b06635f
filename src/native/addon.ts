import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const requireFrom = createRequire(import.meta.url);

/** Loads an addon from beside the executable, else from the output of the build; undefined when not found. */
export function loadAddon(name: string): unknown {
  const found = ['./', '../../bin/']
    .map((directory) => fileURLToPath(new URL(`${directory}${name}.node`, import.meta.url)))
    .find((file) => existsSync(file));
  return found === undefined ? undefined : requireFrom(found);
}
