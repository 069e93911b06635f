import type { IncomingMessage } from 'node:http';

const operations: ReadonlyMap<string, string> = new Map([
  ['cacerts', 'GET'],
  ['csrattrs', 'GET'],
  ['simpleenroll', 'POST'],
  ['simplereenroll', 'POST'],
]);
const maxBodyBytes = 16 << 10;

/** Why one of the servers in use refuses a request, as its answer; undefined when all accept it. */
export function problemOf(
  request: IncomingMessage,
  operation: string,
  body: Buffer,
): { readonly status: number; readonly body: string } | undefined {
  const { method, headers, httpVersion } = request;
  const wanted = operations.get(operation);
  if (wanted === undefined) return { status: 404, body: 'no such operation' };
  if (method !== wanted) return { status: 405, body: `wrong method ${method}` };
  if (httpVersion !== '1.1') return { status: 505, body: `HTTP/${httpVersion}` };
  if (headers['transfer-encoding'] !== undefined) {
    return { status: 400, body: 'Content-Length is negative' };
  }
  if (wanted === 'GET') return undefined;
  if (headers['content-type'] !== 'application/pkcs10') return { status: 415, body: 'type' };
  if (headers['content-transfer-encoding'] !== 'base64') return { status: 415, body: 'encoding' };
  if (headers['content-length'] !== String(body.length)) return { status: 411, body: 'length' };
  if (body.length > maxBodyBytes) return { status: 413, body: 'too large' };
  const lines = body.toString('latin1').split(/\r?\n/);
  const isInLines = lines.every((line) => line.length <= 76 && /^[A-Za-z0-9+/]*=*$/.test(line));
  if (lines.length < 2 || lines.at(-1) !== '' || !isInLines) {
    return { status: 400, body: 'Invalid or corrupted pkcs10 request.' };
  }
  return undefined;
}
