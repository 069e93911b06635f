import { open, readFile } from 'node:fs/promises';

const pieceBytes = 4 << 20;

interface Region {
  readonly start: number;
  readonly end: number;
}

/** The number of occurrences of bytes in the writable memory of a process; see proc(5), mem. */
export async function occurrencesIn(pid: number, bytes: Uint8Array): Promise<number> {
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    let count = 0;
    for (const region of await writableRegions(pid)) {
      const buffer = Buffer.alloc(Math.min(pieceBytes, region.end - region.start));
      // pieces overlap, so that no occurrence is split
      for (let at = region.start; at < region.end; at += buffer.length - bytes.length) {
        const wanted = Math.min(buffer.length, region.end - at);
        const { bytesRead } = await memory
          .read(buffer, 0, wanted, at)
          .catch(() => ({ bytesRead: 0 })); // a region that was unmapped, or that has no pages
        count += occurrences(buffer.subarray(0, bytesRead), bytes);
        if (wanted < buffer.length) break;
      }
    }
    return count;
  } finally {
    await memory.close();
  }
}

async function writableRegions(pid: number): Promise<readonly Region[]> {
  const maps = await readFile(`/proc/${pid}/maps`, 'latin1');
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)].map(([, start = '', end = '']) => ({
    start: Number.parseInt(start, 16),
    end: Number.parseInt(end, 16),
  }));
}

function occurrences(buffer: Buffer, bytes: Uint8Array): number {
  let count = 0;
  for (let at = buffer.indexOf(bytes); at >= 0; at = buffer.indexOf(bytes, at + 1)) count++;
  return count;
}
