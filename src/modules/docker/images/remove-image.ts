import { describeError } from '../../../errors.ts';
import { DiskFull, EngineUnreachable } from '../../supervisor/module-type.ts';
import type { EngineImages } from '../engine/images.ts';
import type { Verdict } from './removable.ts';

/** An image that stays. */
export interface KeptImage {
  /** The reference, or the id, that was not removed. */
  readonly reference: string;
  readonly reason: string;
}

/** Most images have a tag and a digest. */
const mostAttempts = 4;

/**
 * Removes an image with all its references; returns why it stays, undefined when it was removed. Throws when the engine is
 * unreachable.
 *
 * On a full disk engines drop a reference from memory and fail to save that: the next request finds it gone, and the image
 * still there. Requests by its id drop one reference each, and the last one removes the image, which needs no space.
 */
export async function removeImage(
  images: Pick<EngineImages, 'remove'>,
  { record: { id }, references }: Pick<Verdict, 'record' | 'references'>,
  signal: AbortSignal,
): Promise<KeptImage | undefined> {
  const names = [...(references.length > 0 ? references : [id])];
  let attempts = mostAttempts;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    try {
      if (!(await images.remove(name, signal))) return { reference: name, reason: 'it is in use' };
    } catch (error) {
      if (signal.aborted || error instanceof EngineUnreachable) throw error;
      const isLast = names.length === 0 && attempts-- === 0;
      if (!(error instanceof DiskFull) || isLast) {
        return { reference: name, reason: describeError(error) };
      }
      if (!names.includes(id)) names.push(id);
    }
  }
  return undefined;
}
