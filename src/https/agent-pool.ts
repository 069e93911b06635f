import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Agent, AgentOptions } from 'node:https';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { keyPem } from '../native/provider.ts';
import { HappyEyeballsAgent } from './happy-eyeballs-agent.ts';
import { HttpsFailure, toFailureMessage } from './https-failure.ts';
import type { HttpsRequest } from './https-request.ts';
import type { HostLookup } from './tcp-connect.ts';
import { TunnelAgent } from './tunnel-agent.ts';

const maxAgents = 16;
/** Less than the minute after which many servers close an idle connection. */
const idleMs = 55_000;
/** The type of an EC key (id-ecPublicKey), followed by a SEQUENCE instead of the curve's name. */
const explicitCurve = Buffer.from('06072a8648ce3d020130', 'hex');

type Route = Pick<HttpsRequest, 'clientCertificate' | 'ca' | 'proxy'>;
type Purpose = { readonly requestId?: string | undefined; readonly hasBoundBody?: boolean };

/** Agents by route: connections and TLS sessions are separate for each client certificate, set of roots and proxy. */
export class AgentPool {
  readonly #agents = new Map<string, Agent>();
  readonly #loadProvider: () => void;
  readonly #lookup: HostLookup | undefined;

  /** The provider is loaded when the first client certificate is used. */
  constructor(loadProvider: () => void, lookup?: HostLookup) {
    this.#loadProvider = loadProvider;
    this.#lookup = lookup;
  }

  /** The agent for a route; evicts the least recently used one when there are too many. */
  get(route: Route): Agent {
    const name = nameOf(route);
    const agent = this.#agents.get(name) ?? this.#create(route);
    this.#agents.delete(name);
    this.#agents.set(name, agent);
    const [oldest] = this.#agents;
    if (this.#agents.size > maxAgents && oldest !== undefined) {
      this.#agents.delete(oldest[0]);
      oldest[1].destroy();
    }
    return agent;
  }

  /** An agent for one exchange over a new connection, which closes with it. */
  single(route: Route): Agent {
    return this.#create(route, { keepAlive: false });
  }

  /** The context of a connection that is opened for a request: its signature carries the id of that request. */
  contextOf(request: Route & Purpose): SecureContext {
    return this.#secureContext(request);
  }

  #create(to: Route, { keepAlive = true }: Pick<AgentOptions, 'keepAlive'> = {}): Agent {
    const { proxy, ca } = to;
    const options: AgentOptions = {
      keepAlive,
      timeout: idleMs,
      maxSockets: 8,
      // or NODE_TLS_REJECT_UNAUTHORIZED in the environment would decide
      rejectUnauthorized: true,
      // without a request: an agent outlives the one that it is created for
      secureContext: this.#secureContext({ ...to, requestId: undefined }),
    };
    if (proxy === undefined) return new HappyEyeballsAgent(options, this.#lookup);
    const route = { url: new URL(proxy), ...(ca === undefined ? {} : { ca }) };
    return new TunnelAgent(route, options, this.#lookup);
  }

  #secureContext(request: Route & Purpose): SecureContext {
    const { clientCertificate, ca, requestId, hasBoundBody = false } = request;
    const options: SecureContextOptions = {
      minVersion: 'TLSv1.2',
      ...(hasBoundBody && { maxVersion: 'TLSv1.2' }),
      ...(ca === undefined ? {} : { ca }),
    };
    if (clientCertificate === undefined) return createSecureContext(options);
    const { chainPem, keyId, spki } = clientCertificate;
    try {
      // OpenSSL ignores a key whose type differs from the certificate's, and then sends no certificate at all
      const leaf = new X509Certificate(chainPem).publicKey;
      refuseExplicitCurve(leaf);
      // a certificate may hold the same public key with its point compressed
      const own = createPublicKey({ key: Buffer.from(spki), type: 'spki', format: 'der' });
      if (!leaf.equals(own)) throw new Error(`the certificate is not for the key "${keyId}"`);
      this.#loadProvider();
      const key = keyPem(keyId, spki, requestId);
      return createSecureContext({ ...options, cert: chainPem, key });
    } catch (error) {
      const { code, message } = toFailureMessage(error);
      throw new HttpsFailure('client-certificate', code, message);
    }
  }
}

/** OpenSSL rejects such a certificate and other stacks cannot even parse it; the connection would just end. */
function refuseExplicitCurve(key: KeyObject): void {
  const spki = key.export({ type: 'spki', format: 'der' });
  if (!spki.subarray(0, 32).includes(explicitCurve)) return;
  throw new Error(
    'the certificate has explicit EC parameters, which TLS refuses: have it issued with the name of the curve',
  );
}

/** A name for each route, whose length does not grow with its certificates. */
function nameOf({ clientCertificate, ca, proxy }: Route): string {
  const { chainPem, keyId, spki } = clientCertificate ?? {};
  const parts = [chainPem, keyId, spki && Buffer.from(spki).toString('hex'), ca, proxy];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}
