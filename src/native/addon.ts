import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const requireFrom = createRequire(import.meta.url);

/** Loads an addon from beside the executable, else from where the build puts it; undefined when it is nowhere. */
export function loadAddon(name: string): unknown {
  const found = ['./', '../../bin/']
    .map((directory) => fileURLToPath(new URL(`${directory}${name}.node`, import.meta.url)))
    .find((file) => existsSync(file));
  return found === undefined ? undefined : requireFrom(found);
}
