import { request } from 'node:http';

/** A response of a unix socket. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A request as clients of the management API send it: a new connection, JSON if there is a body. */
export function ask(
  socketPath: string,
  method: string,
  target: string,
  body?: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const path = `${target}${target.includes('?') ? '&' : '?'}api-version=2022-08-03`;
    const headers = {
      connection: 'close',
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const call = request({ socketPath, method, path, headers, timeout: 60_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0 } = response;
        resolve({ status, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    call.on('timeout', () => call.destroy(new Error('no response')));
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The JSON of an answer. */
export function jsonOf({ body }: Answer): Readonly<Record<string, unknown>> {
  return JSON.parse(body.toString()) as Record<string, unknown>; // a test looks at each member
}
