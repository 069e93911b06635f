/**
 * The engine's client leaves a request without an answer when the connection is cut in the middle of one, and lets
 * only some requests be aborted. So every answer is taken from it as a stream, which knows its end, and read here,
 * and every request ends with the signal that its client was opened with.
 */
import { Agent, IncomingMessage } from 'node:http';
import { callbackify, promisify } from 'node:util';
import type Docker from 'dockerode';

// A connection for each request: the engine may close one that is kept just when it is used again.
const agent = new Agent({ keepAlive: false });

type Dial = Docker['modem']['dial'];
type Dialled = Parameters<Dial>[0];

const everyStatus = new Proxy<NonNullable<Dialled['statusCodes']>>({}, { get: () => true });

/** A client each of whose requests settles: with the engine's answer, with the end of the connection or with the signal. */
export async function openClient(socketPath: string, signal: AbortSignal): Promise<Docker> {
  // It takes a quarter of a second of processor time to load, so it is loaded when first needed.
  const { default: Client } = await import('dockerode');
  // An empty host keeps the client from turning to DOCKER_HOST.
  const options = { socketPath, host: '', protocol: 'http', agent } as const;
  const docker = new Client(options);
  const { modem } = docker;
  const ask = promisify(modem.dial.bind(modem));
  const dial = callbackify(async (request: Dialled) => {
    const whole = { ...request, isStream: true, statusCodes: everyStatus, abortSignal: signal };
    return answerTo(request, await ask(whole));
  });
  Object.assign(modem, { dial });
  return docker;
}

/** The stream that was asked for, or the JSON that the answer holds; an error with `statusCode` and `json` otherwise. */
async function answerTo(request: Dialled, response: unknown): Promise<unknown> {
  if (!(response instanceof IncomingMessage))
    throw new TypeError('the engine client answered no stream');
  const status = response.statusCode ?? 0;
  const accepted = request.statusCodes?.[status] === true;
  if (accepted && request.isStream === true) return response;
  const json = await readJson(response);
  if (accepted) return json;
  throw Object.assign(new Error(`HTTP ${status}`), { statusCode: status, json });
}

async function readJson(response: IncomingMessage): Promise<object> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response as AsyncIterable<Uint8Array>) chunks.push(chunk); // no encoding is set
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {}; // most answers without content
  }
}
