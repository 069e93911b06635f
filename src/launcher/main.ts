/** The file of every program: runs the bundle of the same name with the code that V8 made of it before. */
import { basename, join } from 'node:path';
import { compileBundle, readBundle, runBundle } from './bundle.ts';
import { cachedCode } from './code-cache.ts';

function launch(path: string): void {
  const bundle = readBundle(path);
  runBundle(compileBundle(bundle, cachedCode(bundle)), path);
}

launch(join(import.meta.dirname, 'bundles', basename(import.meta.filename)));
