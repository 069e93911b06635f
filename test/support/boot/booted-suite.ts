import { suite } from 'uvu';
import { runnable } from '../not-runnable.ts';
import { BootedSystem } from './booted-system.ts';

type Run = (system: BootedSystem) => Promise<void>;

/** A suite whose tests share one system, which boots before the first. */
export interface BootedSuite {
  (name: string, run: Run): void;
  readonly run: () => void;
}

/** A suite for a booted system; where none can be booted, its tests are printed as not runnable here. */
export function bootedSuite(
  name: string,
  boot: () => Promise<BootedSystem> = () => BootedSystem.boot(),
): BootedSuite {
  const tests = suite(name);
  let system: BootedSystem | undefined;
  const booted = async () => {
    system ??= await boot();
    return system;
  };
  tests.after(async () => system?.[Symbol.asyncDispose]());
  const define = runnable('booted-system', tests);
  const test = (what: string, run: Run) => define(what, async () => run(await booted()));
  return Object.assign(test, { run: () => tests.run() });
}
