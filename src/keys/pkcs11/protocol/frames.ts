import { MalformedMessage } from './bytes.ts';

/** The longest message, and more than a token with thousands of certificates needs. */
export const maxFrameBytes = 16 << 20;
/** A frame is the length of what follows (u32), then the message. */
export const headerBytes = 4;

/**
 * Splits a stream into its frames. Takes chunks as they come and wipes them, also the frames after they were handled:
 * they contain PINs and key material.
 */
export class FrameSplitter {
  readonly #onFrame: (frame: Buffer) => void;
  /** The beginning of an incomplete frame, with space for all of it. */
  #partial: Buffer | undefined;
  #filled = 0;
  #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;

  /** `onFrame` must not keep the frame. */
  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  /** Handles all frames that a chunk completes. Throws MalformedMessage for a length that is too large. */
  push(chunk: Buffer): void {
    try {
      let position = 0;
      while (position < chunk.length) position += this.#pushSome(chunk.subarray(position));
    } finally {
      chunk.fill(0);
    }
  }

  /** Returns how many bytes it took. */
  #pushSome(chunk: Buffer): number {
    if (this.#partial !== undefined) return this.#fill(this.#partial, chunk);
    if (this.#headerFilled === 0 && chunk.length >= headerBytes) {
      const end = headerBytes + checkedLength(chunk.readUInt32LE(0));
      if (chunk.length >= end) {
        this.#onFrame(chunk.subarray(headerBytes, end));
        return end;
      }
    }
    const count = chunk.copy(this.#header, this.#headerFilled, 0, headerBytes - this.#headerFilled);
    this.#headerFilled += count;
    if (this.#headerFilled === headerBytes)
      this.#begin(checkedLength(this.#header.readUInt32LE(0)));
    return count;
  }

  #begin(length: number): void {
    this.#headerFilled = 0;
    this.#filled = 0;
    this.#partial = Buffer.alloc(length);
    if (length === 0) this.#complete(this.#partial);
  }

  #fill(partial: Buffer, chunk: Buffer): number {
    const count = chunk.copy(partial, this.#filled);
    this.#filled += count;
    if (this.#filled === partial.length) this.#complete(partial);
    return count;
  }

  #complete(frame: Buffer): void {
    this.#partial = undefined;
    try {
      this.#onFrame(frame);
    } finally {
      frame.fill(0);
    }
  }
}

function checkedLength(length: number): number {
  if (length > maxFrameBytes) throw new MalformedMessage(`a length of ${length} bytes`);
  return length;
}

/** Frames in one buffer, which the caller wipes; those that were copied are wiped here. */
export function joinFrames(frames: readonly Buffer[]): Buffer {
  const [first] = frames;
  if (first !== undefined && frames.length === 1) return first;
  const joined = Buffer.concat(frames);
  for (const frame of frames) frame.fill(0);
  return joined;
}
