import type { IncomingMessage } from 'node:http';

const longestBodyBytes = 2 << 20;
const slowestBodyMs = 5_000;

/** A failure of the protocol itself, with its status. */
export class HttpProblem extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The JSON body of a request, undefined when it has none; HttpProblem when it is slow, long or no JSON. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request);
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString());
  } catch {
    // The parser's message quotes the body, which may be a plaintext.
    throw new HttpProblem(422, 'the body is not JSON');
  } finally {
    body.fill(0);
  }
}

function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const fail = (status: number, message: string): void => {
      clearTimeout(timer);
      request.pause();
      reject(new HttpProblem(status, message));
    };
    const timer = setTimeout(() => fail(408, 'the body did not come in time'), slowestBodyMs);
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > longestBodyBytes) fail(413, 'the body is longer than 2 MiB');
      else chunks.push(chunk);
    });
    request.on('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
    request.on('error', () => fail(400, 'the body was cut off'));
    request.on('close', () => fail(400, 'the body was cut off'));
  });
}
