import { createRequire } from 'node:module';
import { builtFile } from './built-file.ts';

const requireFrom = createRequire(import.meta.filename);

/** Loads an addon of the build; undefined when not found. */
export function loadAddon(name: string): unknown {
  const file = builtFile(`${name}.node`);
  return file === undefined ? undefined : requireFrom(file);
}
