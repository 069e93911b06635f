import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from './linux.ts';

/** V8 frees buffers on another thread. */
const sweptWithinMs = 100;

/**
 * Soon returns to the kernel what only a start, or a thread that ended, needed: V8 and glibc would keep it for as long as
 * nothing happens. Blocks the thread for the 10 to 20 ms of a full garbage collection.
 */
export function releaseMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
  setTimeout(trimMemory, sweptWithinMs).unref();
}
