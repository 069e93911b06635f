import { createHash, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CertificatesConfig,
  parseCertificatesConfig,
} from '../../../src/certificates/config/config.ts';
import { EstIssuers } from '../../../src/certificates/est/est-issuers.ts';
import { CommandIssuers } from '../../../src/certificates/issuers/command/command-issuers.ts';
import type {
  KeyLookup,
  KeyState,
  SigningKeys,
} from '../../../src/certificates/keys/keys-client.ts';
import { CertificateService, type ImportOptions } from '../../../src/certificates/service.ts';
import { Storage } from '../../../src/certificates/storage.ts';
import { ServiceError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import {
  localSigner,
  publicKeyOf,
  type Signer,
  signatureAlgorithmFor,
  spkiOf,
} from '../../../src/x509/algorithm.ts';
import { silentLog } from '../../support/log.ts';
import { via } from '../../support/via.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

/** Keys of this process. */
export class LocalKeys implements SigningKeys {
  /** The number of key lookups. */
  lookups = 0;
  /** Whether the service of the keys is unreachable. */
  isAway = false;
  readonly #keys = new Map<string, KeyObject>();

  add(id: string, key: KeyObject): void {
    this.#keys.set(id, key);
  }

  delete(id: string): void {
    this.#keys.delete(id);
  }

  signer(id: string, spki: Buffer): Signer {
    const key = this.#keys.get(id);
    if (key !== undefined && spkiOf(key).equals(spki)) return localSigner(key);
    const missing = new ServiceError('NotFound', `no key ${id}`);
    return {
      algorithm: signatureAlgorithmFor(publicKeyOf(spki)),
      sign: () => Promise.reject(missing),
    };
  }

  contradicts(id: string, spki: Buffer): Promise<boolean> {
    const key = this.#keys.get(id);
    return Promise.resolve(key !== undefined && !spkiOf(key).equals(spki));
  }

  lookup(): KeyLookup {
    return {
      stateOf: (id, spki) => Promise.resolve(this.#stateOf(id, spki)),
      find: (spki) => {
        this.lookups++;
        if (this.isAway) return Promise.reject(new ServiceError('Unavailable', 'no keys'));
        const found = [...this.#keys].find(([, key]) => spkiOf(key).equals(spki));
        return Promise.resolve(found?.[0]);
      },
    };
  }

  #stateOf(id: string, spki: Buffer): KeyState {
    const key = this.#keys.get(id);
    if (this.isAway) return 'unavailable';
    if (key === undefined) return 'missing';
    return spkiOf(key).equals(spki) ? 'matches' : 'differs';
  }
}

/** The published objects. */
export class Published extends ShownObjects<typeof certificatesService> {
  constructor() {
    super(certificatesService);
  }

  get digest(): string {
    return this.properties.TrustBundleDigest;
  }

  get problems(): readonly string[] {
    const { Health, LastError } = this.properties;
    if (LastError === '') return [];
    return Health === 'degraded' ? LastError.split('; ') : [];
  }
}

/** Settings as they are written in certificates.yaml, with defaults. */
export function configOf(settings: Readonly<Record<string, unknown>> = {}): CertificatesConfig {
  const defaults = {
    log_level: 'info',
    idle_exit_s: 60,
    authorization: { backend: 'polkit', cache_s: 10, acl: [] },
    grants: [],
    certificates: {},
    issuers: {},
    trust_bundle: [],
  };
  const report = (_path: unknown, message: string): never => {
    throw new Error(message);
  };
  return parseCertificatesConfig({ ...defaults, ...settings }, { report });
}

/** The service as tests call it, where the caller is optional. */
class CalledService extends CertificateService {
  override get(id: string, on = via) {
    return super.get(parseCertificateId(id), on);
  }

  override import(
    id: string,
    content: { readonly data: Buffer; readonly format: string },
    options: Partial<ImportOptions>,
  ) {
    return super.import(parseCertificateId(id), content, { via, ...options });
  }
}

/** A service on a temporary directory. */
export class Rig implements AsyncDisposable {
  readonly directory: string;
  readonly keys = new LocalKeys();
  readonly published = new Published();
  readonly disk = { problem: '' };
  readonly service: CalledService;
  readonly est: EstIssuers;
  readonly commands = new CommandIssuers({ log: silentLog });
  /** Why a certificate is not renewed. */
  waitReason: (id: string, at: Date) => string = () => '';
  now = new Date();

  private constructor(directory: string, storage: Storage, config: CertificatesConfig) {
    this.directory = directory;
    const { disk, keys, published: objects } = this;
    const now = () => this.now;
    this.est = new EstIssuers({ stateDir: directory, log: silentLog });
    this.service = new CalledService({
      config,
      storage,
      keys,
      objects,
      disk,
      now,
      est: this.est,
      commands: this.commands,
      waitReason: ({ id }, at) => this.waitReason(id, at),
    });
  }

  /** Starts a service; with a directory, on the state of a previous one. */
  static async start(
    settings: Readonly<Record<string, unknown>> = {},
    given?: string,
  ): Promise<Rig> {
    const directory = given ?? (await mkdtemp(join(tmpdir(), 'iotedge-certificates-')));
    const storage = await Storage.open(join(directory, 'certificates'));
    const rig = new Rig(directory, storage, configOf(settings));
    await rig.service.publishAll();
    return rig;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** SHA-256, lower-case hex. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
