import { suite } from 'uvu';
import { runnable } from '../not-runnable.ts';
import { makeVersions, type Versions } from './versions.ts';

/** A suite whose tests share packages of two versions. */
export interface VersionsSuite {
  (name: string, run: () => Promise<void>): void;
  /** Within a test. */
  readonly versions: () => Versions;
  readonly run: () => void;
}

/** A suite about packages below a chroot; where its tests cannot run, they are printed, and no package is made. */
export function versionsSuite(name: string): VersionsSuite {
  const tests = suite(name);
  let made: Versions | undefined;
  tests.after(async () => made?.[Symbol.asyncDispose]());
  const define = runnable('booted-system', tests);
  const test = (what: string, run: () => Promise<void>) =>
    define(what, async () => {
      made ??= await makeVersions();
      await run();
    });
  const versions = (): Versions => {
    if (made === undefined) throw new Error('no test runs');
    return made;
  };
  return Object.assign(test, { versions, run: () => tests.run() });
}
