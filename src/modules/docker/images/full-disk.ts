import { DiskFull } from '../../supervisor/module-type.ts';
import { PullDiskFull } from '../engine/connection/translate.ts';

/** The outcome of a clean-up for a request that met a full disk. */
export type MadeRoom =
  | { readonly kind: 'removed' }
  | { readonly kind: 'none'; readonly reason: string };

/** Removes images for a request that began at this time of `performance.now` and met a full disk. */
export type MakeRoom = (sinceMs: number, signal: AbortSignal) => Promise<MadeRoom>;

/** Repeats a request to the engine that meets a full disk, once, when images could be removed for it. */
export async function withRoom<T>(
  request: () => Promise<T>,
  makeRoom: MakeRoom | undefined,
  signal: AbortSignal,
): Promise<T> {
  if (makeRoom === undefined) return request();
  const sinceMs = performance.now();
  try {
    return await request();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    const room = await makeRoom(sinceMs, signal);
    if (room.kind === 'none') throw withAdvice(error, room.reason);
  }
  try {
    return await request();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw withAdvice(error, 'the removal of images that nothing needed was not enough');
  }
}

function isDiskFull(error: unknown): error is DiskFull | PullDiskFull {
  return error instanceof DiskFull || error instanceof PullDiskFull;
}

/** The failure, with what was tried and what to do. */
function withAdvice(error: DiskFull | PullDiskFull, tried: string): DiskFull | PullDiskFull {
  const Failure = error instanceof DiskFull ? DiskFull : PullDiskFull;
  const text = `${error.message}; ${tried}: free some space on the disk of the engine`;
  return new Failure(error.code, text, { cause: error });
}
