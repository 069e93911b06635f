import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { isServiceError, ServiceError, systemCode } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { UsageError } from '../command.ts';

/** More than a file of certificates, or of a key with its chain, has. */
const longestBytes = 1 << 20;

/** The bytes of a file, or of the standard input for `-`; InvalidArgs for more than 1 MiB. */
export async function readInputFile(path: string): Promise<Buffer> {
  if (path === '-') return readAll(process.stdin, 'standard input');
  try {
    await using file = await open(path);
    return await readAll(file.createReadStream({ autoClose: false }), path);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || isServiceError(error)) throw error;
    throw new UsageError(`${quoted(path)} cannot be read (${code})`);
  }
}

async function readAll(stream: Readable, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += piece.length;
    if (bytes > longestBytes) {
      throw new ServiceError('InvalidArgs', `${what} is longer than ${longestBytes} bytes`);
    }
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}
