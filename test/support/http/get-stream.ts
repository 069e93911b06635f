import { get, type IncomingMessage } from 'node:http';
import { deadline } from '../deadline.ts';

/** Begins a request; its response is not read. */
export function getStream(socketPath: string, path: string): Promise<IncomingMessage> {
  const opening = new Promise<IncomingMessage>((resolve, reject) => {
    get({ socketPath, path, agent: false }, resolve).on('error', reject);
  });
  return deadline(10_000, opening, 'a response');
}

/** The whole body of a response; rejects when it is cut off. */
export async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
