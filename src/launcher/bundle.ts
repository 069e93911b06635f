import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** The bundle of a program as it was read, and the user who owns its file. */
export interface Bundle {
  readonly path: string;
  readonly owner: number;
  readonly source: Buffer;
}

/** What Node itself puts around the text of a CommonJS module. */
export const wrapper = [
  '(function (exports, require, module, __filename, __dirname) { ',
  '\n})',
] as const;

/** Reads the bundle of a program. */
export function readBundle(path: string): Bundle {
  const file = openSync(path, 'r');
  try {
    return { path, owner: fstatSync(file).uid, source: readFileSync(file) };
  } finally {
    closeSync(file);
  }
}

/** Compiles a bundle, with the code that V8 has made of the same text before. */
export function compileBundle({ path, source }: Bundle, code: Buffer | undefined): Script {
  const [head, tail] = wrapper;
  return new Script(`${head}${source.toString()}${tail}`, {
    filename: path,
    columnOffset: -head.length,
    ...(code && { cachedData: code }),
  });
}

/** Runs a compiled bundle as the main module. */
export function runBundle(script: Script, path: string): void {
  const main: unknown = script.runInThisContext();
  if (typeof main !== 'function') throw new TypeError('a bundle is a module');
  const exports = {};
  Reflect.apply(main, exports, [exports, createRequire(path), { exports }, path, dirname(path)]);
}
