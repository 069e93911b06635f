import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AgentOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type ConnectingRequest, HappyEyeballsAgent } from './happy-eyeballs-agent.ts';
import { HttpsFailure } from './https-failure.ts';
import { authority, type HostLookup } from './tcp-connect.ts';

/** The proxy that opens the tunnel. */
export interface Proxy {
  readonly url: URL;
  /** The roots that the certificate of a proxy over https is verified with. */
  readonly ca?: string;
  /** Limit for opening the tunnel; 30 s when absent. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 30_000;

/** Speaks TLS with the server through a tunnel of an HTTP proxy (CONNECT, RFC 9110 9.3.6). */
export class TunnelAgent extends HappyEyeballsAgent {
  readonly #proxy: Proxy;

  constructor(proxy: Proxy, options: AgentOptions, lookup?: HostLookup) {
    super(options, lookup);
    this.#proxy = proxy;
  }

  protected override async open({ host, port, connecting }: ConnectingRequest): Promise<Socket> {
    const target = authority(host ?? 'localhost', Number(port ?? 443));
    const { url } = this.#proxy;
    const defaultPort = url.protocol === 'https:' ? 443 : 80;
    const proxy = { host: hostOf(url), port: Number(url.port || defaultPort) };
    try {
      const tcp = await this.connectTo(proxy, connecting);
      return await this.#openThrough(tcp, target, connecting?.signal);
    } catch (error) {
      throw proxyFailure(error);
    }
  }

  async #openThrough(tcp: Socket, target: string, signal?: AbortSignal): Promise<Socket> {
    const end = new AbortController();
    const onEnd = (): void => {
      end.abort();
      tcp.destroy();
    };
    // for the whole response: a proxy that sends a byte now and then is never idle
    const timer = setTimeout(onEnd, this.#proxy.timeoutMs ?? defaultTimeoutMs);
    signal?.addEventListener('abort', onEnd, { once: true });
    try {
      return await this.#connect(await this.#toProxy(tcp, end.signal), target);
    } catch (error) {
      tcp.destroy();
      if (!end.signal.aborted) throw error;
      throw new HttpsFailure('proxy', 'ETIMEDOUT', 'the proxy did not open the tunnel in time');
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onEnd);
    }
  }

  /** Verifies the proxy before a password is sent. */
  async #toProxy(tcp: Socket, end: AbortSignal): Promise<Duplex> {
    const { url, ca } = this.#proxy;
    if (url.protocol !== 'https:') return tcp;
    const host = hostOf(url);
    const stream = connectTls({
      socket: tcp,
      host,
      rejectUnauthorized: true,
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
    });
    await once(stream, 'secureConnect', { signal: end });
    return stream;
  }

  #connect(stream: Duplex, target: string): Promise<Socket> {
    const headers = { host: target, ...authorizationOf(this.#proxy.url) };
    const createConnection = (): Duplex => stream;
    const outgoing = httpRequest({ method: 'CONNECT', path: target, headers, createConnection });
    return new Promise((resolve, reject) => {
      outgoing.once('connect', ({ statusCode = 0 }, socket: Socket) => {
        if (statusCode >= 200 && statusCode < 300) resolve(socket);
        else reject(new HttpsFailure('proxy', `HTTP_${statusCode}`, `the proxy: ${statusCode}`));
      });
      outgoing.once('response', ({ statusCode = 0 }) => {
        reject(new HttpsFailure('proxy', `HTTP_${statusCode}`, `the proxy: ${statusCode}`));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function proxyFailure(error: unknown): HttpsFailure {
  if (error instanceof HttpsFailure && error.kind === 'proxy') return error;
  const { code = 'UNKNOWN', message }: NodeJS.ErrnoException =
    error instanceof Error ? error : new Error('failed');
  return new HttpsFailure('proxy', code, message);
}

function authorizationOf({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}
