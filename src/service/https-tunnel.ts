import { type ClientRequest, request as httpRequest } from 'node:http';
import { Agent, type AgentOptions, request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { callbackify } from 'node:util';
import { HttpsFailure } from './https-message.ts';

/** Where the tunnel begins. */
export interface Proxy {
  readonly url: URL;
  /** The roots that a proxy reached over https is verified with. */
  readonly ca?: string;
  /** How long it may take to open the tunnel, 30 s when absent. */
  readonly answerWithinMs?: number;
}

type Connected = (error: Error | null, stream: Duplex) => void;

const defaultAnswerMs = 30_000;

/** Speaks TLS with the server through a tunnel that an HTTP proxy opens (CONNECT, RFC 9110 9.3.6). */
export class TunnelAgent extends Agent {
  readonly #proxy: Proxy;

  constructor(proxy: Proxy, options: AgentOptions) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(options: RequestOptions, callback?: Connected): undefined {
    if (callback === undefined) throw new TypeError('a tunnel is opened asynchronously');
    callbackify(() => this.#connect(options))(callback);
  }

  async #connect(options: RequestOptions): Promise<Duplex> {
    const inTunnel = { ...options, socket: await this.#open(authorityOf(options)) };
    const stream = super.createConnection(inTunnel);
    if (stream) return stream;
    throw new HttpsFailure('proxy', 'UNKNOWN', 'no TLS in the tunnel');
  }

  #open(authority: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const outgoing = this.#ask(authority);
      // for the whole answer: a proxy that sends a byte now and then is never idle
      const giveUp = setTimeout(() => {
        outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }));
      }, this.#proxy.answerWithinMs ?? defaultAnswerMs);
      outgoing.once('connect', ({ statusCode = 0 }, socket: Socket) => {
        clearTimeout(giveUp);
        if (statusCode >= 200 && statusCode < 300) {
          resolve(socket);
          return;
        }
        socket.destroy();
        reject(new HttpsFailure('proxy', `HTTP_${statusCode}`, `the proxy answered ${statusCode}`));
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(giveUp);
        reject(new HttpsFailure('proxy', error.code ?? 'UNKNOWN', error.message));
      });
      outgoing.end();
    });
  }

  #ask(authority: string): ClientRequest {
    const { url, ca } = this.#proxy;
    const { hostname, port, protocol } = url;
    const host = hostname.replace(/^\[|\]$/g, '');
    const headers = { host: authority, ...authorizationOf(url) };
    const options = { host, method: 'CONNECT', path: authority, headers, agent: false } as const;
    if (protocol !== 'https:') return httpRequest({ ...options, port: port || 80 });
    const verified = { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
    return httpsRequest({ ...options, ...verified, port: port || 443 });
  }
}

function authorityOf({ host, port }: RequestOptions): string {
  const name = host ?? 'localhost';
  return `${isIP(name) === 6 ? `[${name}]` : name}:${port ?? 443}`;
}

function authorizationOf({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}
