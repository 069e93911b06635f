import { writeFileSync } from 'node:fs';
import { compileBundle, readBundle, runBundle } from '../bundle.ts';
import { seal } from '../code-cache.ts';

/** Runs a bundle with its arguments as a launcher does, and writes its cache to a file when the process exits. */
export function record([file = '', path = '', ...args]: readonly string[]): void {
  const bundle = readBundle(path);
  const script = compileBundle(bundle, undefined);
  process.argv = [process.execPath, path, ...args];
  process.once('exit', () => writeFileSync(file, seal(script.createCachedData(), bundle.source)));
  runBundle(script, path);
}
