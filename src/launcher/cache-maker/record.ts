import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
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

/** Compiles every function of a bundle, not only those that run, and writes its cache to a file. */
export function compile([file = '', path = '']: readonly string[]): void {
  const bundle = readBundle(path);
  setFlagsFromString('--no-lazy');
  const script = compileBundle(bundle, undefined);
  // V8 accepts a cache only with the flags with which it was written
  setFlagsFromString('--lazy');
  writeFileSync(file, seal(script.createCachedData(), bundle.source));
}
