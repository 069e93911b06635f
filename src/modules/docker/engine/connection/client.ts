/**
 * The engine's client never settles a request whose connection is cut during the response, and can abort only some
 * requests. So every response is taken from it as a stream, which reports its end, and read here, and every request ends
 * with the signal that its client was opened with.
 */
import { Agent, IncomingMessage } from 'node:http';
import { callbackify, inspect, promisify } from 'node:util';
import type Docker from 'dockerode';

/**
 * The client formats the options of each request for its debug log, also while that is off, and from an agent all pending
 * requests can be reached: with many of them that took most of the processor time of the service.
 */
class UninspectedAgent extends Agent {
  [inspect.custom](): string {
    return 'Agent';
  }
}

// one connection per request: the engine may close an idle one just when it is reused
const agent = new UninspectedAgent({ keepAlive: false });

type Dial = Docker['modem']['dial'];
type Dialled = Parameters<Dial>[0];

const everyStatus = new Proxy<NonNullable<Dialled['statusCodes']>>({}, { get: () => true });

/** The engine that a client speaks to. */
export interface ClientOptions {
  readonly socketPath: string;
  /** Of its API, such as `v1.41`; without one the engine uses its newest. */
  readonly version?: string;
}

/** A client whose requests always settle: with the engine's response, the end of the connection or the signal. */
export async function openClient(
  { socketPath, version = '' }: ClientOptions,
  signal: AbortSignal,
): Promise<Docker> {
  // loading it takes a quarter of a second of processor time, so it is loaded when first needed
  const { default: Client } = await import('dockerode');
  // an empty host prevents the client from using DOCKER_HOST
  const options = { socketPath, host: '', protocol: 'http', agent, version } as const;
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

/** The requested stream, or the JSON of the response; rejects with an error that has `statusCode` and `json`. */
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
    return {}; // most responses without content
  }
}
