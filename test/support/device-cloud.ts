import { Agent, request } from 'node:https';
import type { CloudAnswer, CloudClient, CloudRequest } from '../../src/identity/cloud.ts';
import type { Credential } from './pki.ts';

/** A client of the cloud with a key from a file, to test what is said without the Keys service. */
export class DeviceCloud implements CloudClient, Disposable {
  readonly #agent: Agent;

  constructor(credential: Credential, ca: string) {
    this.#agent = new Agent({ ca, key: credential.key, cert: credential.certificate });
  }

  send(
    { method, url, headers = {}, body }: CloudRequest,
    signal: AbortSignal,
  ): Promise<CloudAnswer> {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const options = { method, agent: this.#agent, signal, headers: { ...json, ...headers } };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, options, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        incoming.on('end', () => {
          const retryAfter = Number(incoming.headers['retry-after']);
          const parsed: unknown = text === '' ? undefined : JSON.parse(text);
          resolve({
            status: incoming.statusCode ?? 0,
            retryAfterS: Number.isFinite(retryAfter) ? retryAfter : undefined,
            body: parsed,
          });
        });
      });
      outgoing.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
