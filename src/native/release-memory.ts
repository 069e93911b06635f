import { trimMemory } from './linux.ts';

/** V8 frees buffers on another thread. */
const sweptWithinMs = 100;

/**
 * Soon returns to the kernel what only a start, or a thread that ended, needed: V8 would keep it for 8 more seconds, and
 * glibc for as long as nothing happens. Blocks the thread for the 10 to 25 ms of full garbage collections.
 */
export async function releaseMemory(): Promise<void> {
  if (!process.features.inspector) return;
  const { Session } = await import('node:inspector'); // late, as it takes 1.5 ms
  const session = new Session();
  session.connect();
  // unlike the function `gc`, this gives up the spare pages of the heap as well
  session.post('HeapProfiler.collectGarbage', () => {
    setTimeout(() => {
      session.disconnect(); // hangs within the callback
      trimMemory();
    }, sweptWithinMs).unref();
  });
}
