import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EstSettings } from '../../../src/certificates/config/est-settings.ts';
import { EstIssuer } from '../../../src/certificates/est/est-issuer.ts';
import type { IdentityCertificate } from '../../../src/certificates/est/identities.ts';
import { PreparedOrders } from '../../../src/certificates/est/prepared-orders.ts';
import { AnchorStore } from '../../../src/certificates/est/trust/anchor-store.ts';
import type { Answer, Order } from '../../../src/certificates/issuers/issuer.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { encodeRequestInfo, signRequestInfo } from '../../../src/x509/csr.ts';
import { subjectAlternativeName } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { soon } from '../deadline.ts';
import { newKey } from './ca.ts';
import { EstCa } from './est-ca.ts';
import { EstServer, type EstServerOptions } from './est-server.ts';

/** A record of the log. */
interface Logged {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

/** The client of an EST server with its state, and what it is configured with. */
export class EstRig implements AsyncDisposable {
  readonly ca: EstCa;
  readonly https = new HttpsClient();
  readonly logged: Logged[] = [];
  /** PEM of the files that `trusted_ca` can name. */
  readonly files = new Map<string, string>();
  readonly identities = new Map<string, IdentityCertificate>();
  store: AnchorStore;
  password = 'secret';
  readonly #directory: string;
  readonly #servers: EstServer[] = [];
  #credential: Promise<EstServerOptions['credential']> | undefined;

  private constructor(ca: EstCa, directory: string, store: AnchorStore) {
    this.ca = ca;
    this.#directory = directory;
    this.store = store;
  }

  static async start(): Promise<EstRig> {
    const ca = await EstCa.create();
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-est-state-'));
    const rig = new EstRig(ca, directory, await AnchorStore.open(directory));
    rig.files.set('/root', await ca.certificate('root'));
    return rig;
  }

  /** Forgets what was taught, and what was logged. */
  async reset(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    this.store = await AnchorStore.open(this.#directory);
    this.logged.length = 0;
    this.identities.clear();
    while (this.#servers.length > 0) await this.#servers.pop()?.[Symbol.asyncDispose]();
  }

  /** A server with a TLS certificate of the EST root. */
  async serve(options: Partial<EstServerOptions> = {}): Promise<EstServer> {
    this.#credential ??= this.ca.makeLeaf('server');
    const credential = await this.#credential;
    const server = await EstServer.start({ ca: this.ca, credential, ...options });
    this.#servers.push(server);
    return server;
  }

  issuer({ url, ...settings }: { readonly url: string } & Partial<EstSettings>): EstIssuer {
    const log =
      (level: string) =>
      (message: string, fields: object = {}) => {
        this.logged.push({ level, message, fields });
      };
    return new EstIssuer({
      name: 'hq',
      settings: {
        method: 'est',
        url,
        label: undefined,
        trustedCa: ['/root'],
        username: undefined,
        passwordFile: undefined,
        identity: undefined,
        bootstrap: undefined,
        csrattrs: 'follow',
        proxy: undefined,
        timeoutMs: 20_000,
        ...settings,
      },
      https: this.https,
      anchors: this.store,
      prepared: new PreparedOrders(),
      identity: (id) => Promise.resolve(this.identities.get(id)),
      readFile: (path) =>
        Promise.resolve(parseCertificatesPem(Buffer.from(this.files.get(path) ?? ''), path)),
      password: () => Promise.resolve(this.password),
      log: {
        error: log('error'),
        warn: log('warn'),
        info: log('info'),
        debug: log('debug'),
      },
    });
  }

  submit(issuer: EstIssuer, order: Order, signal = soon()): Promise<Answer> {
    return issuer.submit(order, { requestId: 'test', signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reset();
    await this.https[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
    await this.ca[Symbol.asyncDispose]();
  }
}

/** An order for a new key. */
export function makeOrder({
  subject = 'CN=edge,O=Contoso',
  dns = ['edge.example'],
  key = newKey(),
  ...more
}: {
  readonly subject?: string;
  readonly dns?: readonly string[];
  readonly key?: KeyObject;
} & Partial<Omit<Order, 'key'>> = {}): Order {
  const spki = spkiOf(createPublicKey(key));
  const name = parseName(subject);
  const names = dns.map((one) => parseAlternativeName('dns', one));
  const extensions = names.length === 0 ? [] : [subjectAlternativeName(names)];
  const signer = localSigner(key);
  return {
    id: parseCertificateId('edge'),
    profile: 'client',
    lifetimeS: undefined,
    subjectDer: encodeName(name),
    names,
    key: { keyId: 'k', spki, signer, signerWith: (algorithm) => localSigner(key, algorithm) },
    request: encodeRequestInfo({ subject: name, spki, extensions }),
    cookie: undefined,
    renewed: undefined,
    now: new Date(),
    ...more,
  };
}

/** An order whose request is signed, as those of former versions and of callers of Issue are. */
export async function makeSigned(): Promise<Order> {
  const order = makeOrder();
  const { signer } = order.key;
  if (signer === undefined) throw new Error('an order has a signer');
  return { ...order, request: await signRequestInfo(order.request, signer) };
}

/** What a rejection says. */
export function reasonOf(answer: Answer): string {
  if (answer.kind !== 'rejected') throw new Error(`the answer is ${answer.kind}`);
  return answer.reason;
}
