import { ServiceError } from '../../../errors.ts';

/** Far more than a specification of a module may have. */
const longestBytes = 8 << 20;

/** The text of standard input. */
export async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += piece.length;
    if (bytes > longestBytes) throw new ServiceError('InvalidArgs', 'standard input is too long');
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString('utf8');
}
