import { basename, dirname, join } from 'node:path';
import { compileBundle, readBundle, runBundle } from './bundle.ts';
import { cachedCode } from './code-cache.ts';

/** Runs the bundle of the same name as a launcher, with the code that V8 made of it before. */
export function launch(launcher: string): void {
  const bundle = readBundle(join(dirname(launcher), '../lib', basename(launcher)));
  runBundle(compileBundle(bundle, cachedCode(bundle)), bundle.path);
}
