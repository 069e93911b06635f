import { readFile } from 'node:fs/promises';
import type { Via } from '../dbus/via.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import { type ModuleName, moduleIdOf } from '../ids.ts';
import { quoted } from '../quoted.ts';
import { SharedReads } from '../service/shared-reads.ts';
import { type ModuleSummary, moduleList } from './api/module-list.ts';
import type { CertificateRequest, WorkloadBackend } from './api/workload.ts';
import type { Clients } from './clients.ts';
import type { CertificateReference, ModulesConfig } from './config.ts';
import { isLabel } from './confinement/host-name.ts';
import type { Identities } from './identities.ts';
import {
  certificateIdOf,
  identityNames,
  makeCertificate,
  serverNames,
} from './module-certificate.ts';
import { grantedNames, mayBeCertified, type Upstream } from './module-names.ts';
import type { ModuleSource } from './module-source.ts';

const encryptionKey = 'iotedge/module-encryption';
const longestLifeS = 30 * 86_400;

/** Where the answers come from: the other three services, and what is known about modules. */
export interface BackendParts {
  readonly config: Pick<
    ModulesConfig,
    'agent' | 'deviceCa' | 'trustedCas' | 'hostname' | 'serverNames'
  >;
  readonly clients: Pick<Clients, 'keys' | 'certificates'>;
  readonly identities: Identities;
  readonly modules: () => readonly ModuleSummary[];
  /** The same modules as they are configured. */
  readonly sources: () => readonly ModuleSource[];
  readonly now: () => Date;
}

/** A backend that is told when the modules have changed. */
export interface ModulesBackend extends WorkloadBackend {
  /** A module came, changed or went: the next list is a new one. */
  evictModules(): void;
}

/** The workload API's answers, each made by the service that it belongs to. */
export function workloadBackend(parts: BackendParts): ModulesBackend {
  const { clients, identities, modules } = parts;
  // the same for every module, and each may ask as often as it likes
  const lists = new SharedReads<Buffer>();
  const bundles = new SharedReads<string>();
  const list = async () => Buffer.from(JSON.stringify(moduleList(modules())));
  return {
    modules: ({ signal }) => lists.get('', list, signal),
    evictModules: () => lists.evictAll(),
    identity: async (moduleId, call) => {
      const { generation_id: generationId } = await identities.get(moduleId, call);
      return { moduleId, generationId };
    },
    sign: (moduleId, data, call) => sign(parts, { moduleId, data }, call),
    encrypt: (input, aad, call) => encrypt(clients.keys, { input, aad }, call),
    decrypt: async (input, aad, call) => {
      const mechanism = 'aes-256-gcm';
      const request = { key_id: encryptionKey, mechanism, input, options: { aad } };
      return (await clients.keys.Decrypt(request, call)).output;
    },
    // who joins a read gets what the first request asked for
    trustBundle: ({ requestId, signal }) =>
      bundles.get('', (reading) => trustBundle(parts, { requestId, signal: reading }), signal),
    // Deployment manifests are not signed here.
    manifestTrustBundle: () => Promise.resolve(''),
    certificate: (module, request, call) => certificate(parts, { module, request }, call),
  };
}

async function sign(
  { identities, clients }: BackendParts,
  { moduleId, data }: { moduleId: Parameters<Identities['get']>[0]; data: Buffer },
  call: Via,
): Promise<Buffer> {
  const { auth, key_id, derivation } = await identities.get(moduleId, call);
  if (auth !== 'sas') {
    throw new ServiceError('NotSupported', `module "${moduleId}" has no key of its own`);
  }
  const options = derivation.length > 0 ? { derivation } : {};
  const request = { key_id, mechanism: 'hmac-sha256', data, options };
  return (await clients.keys.Sign(request, call)).signature;
}

async function encrypt(
  keys: Clients['keys'],
  { input, aad }: { readonly input: Buffer; readonly aad: Buffer },
  call: Via,
): Promise<Buffer> {
  const request = { key_id: encryptionKey, mechanism: 'aes-256-gcm', input, options: { aad } };
  try {
    return (await keys.Encrypt(request, call)).output;
  } catch (error) {
    if (!isServiceError(error, 'NotFound')) throw error;
  }
  const options = { if_exists: 'keep' };
  await keys.CreateKey(
    { key_id: encryptionKey, algorithm: 'aes-256', usages: ['encrypt'], options },
    call,
  );
  return (await keys.Encrypt(request, call)).output;
}

async function trustBundle({ config, clients }: BackendParts, call: Via): Promise<string> {
  if (config.trustedCas.length === 0) {
    const { pem } = await clients.certificates.GetTrustBundle({}, call);
    // Whoever gets an empty one may take it for a reason to trust everybody.
    if (pem === '') throw new ServiceError('NotFound', 'there is no trust bundle');
    return pem;
  }
  const bundles = await Promise.all(
    config.trustedCas.map((reference) => readBundle(clients, reference, call)),
  );
  return bundles.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('');
}

async function readBundle(
  { certificates }: Pick<Clients, 'certificates'>,
  reference: CertificateReference,
  call: Via,
): Promise<string> {
  if (reference.kind === 'id') {
    const options = { certificate_id: reference.id };
    return (await certificates.GetTrustBundle({ options }, call)).pem;
  }
  const text = await readFile(reference.path, 'utf8').catch((cause: unknown) => {
    throw new ServiceError('Unavailable', `cannot read ${JSON.stringify(reference.path)}`, {
      cause,
    });
  });
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    const text = `there is no certificate in ${JSON.stringify(reference.path)}`;
    throw new ServiceError('Unavailable', text);
  }
  return blocks.join('\n');
}

async function certificate(
  parts: BackendParts,
  { module, request }: { readonly module: ModuleName; readonly request: CertificateRequest },
  call: Via,
) {
  const { clients, config, identities, now } = parts;
  const isServer = request.purpose === 'server';
  const identity = await identities.get(moduleIdOf(module), call);
  if (isServer) checkName(parts, { module, name: request.commonName, upstream: identity });
  const names = isServer ? serverNames(request.commonName, module) : identityNames(identity);
  const lifetime_s = lifetimeS(request.notAfter, now());
  return makeCertificate(names, async (csr) => {
    const options = {
      profile: isServer ? 'server' : 'client',
      lifetime_s,
      ...(config.deviceCa !== undefined && { issuer: config.deviceCa }),
    };
    const certificate_id = certificateIdOf(module, request.purpose);
    return (await clients.certificates.Issue({ certificate_id, csr, options }, call)).chain_pem;
  });
}

/** A module may call itself by its own names and those of `server_names`, as long as they are no others'. */
function checkName(
  { config, sources }: BackendParts,
  {
    module,
    name,
    upstream,
  }: {
    readonly module: ModuleName;
    readonly name: string;
    readonly upstream: Upstream;
  },
): void {
  if (name === moduleIdOf(module) && name.startsWith('$')) return;
  const all = sources();
  const source = all.find((one) => one.name === module);
  const others = all.filter((one) => one !== source);
  // the module's own name stands beside the one that it asks for
  const names = isLabel(module) ? [name, module] : [name];
  const may = (one: string): boolean =>
    source !== undefined && mayBeCertified(one, { source, others, config, upstream });
  if (names.every(may)) return;
  const shown = quoted(name);
  const granted = grantedNames(module, config);
  const listed = granted.length > 0 ? granted.join(', ') : 'none';
  const text = `${shown} is not a name of module "${module}"; server_names and hostname of modules.yaml give it besides its own: ${listed}`;
  throw new ServiceError('AccessDenied', text);
}

function lifetimeS(notAfter: Date | undefined, now: Date): number {
  if (notAfter === undefined) return longestLifeS;
  const seconds = Math.floor((notAfter.getTime() - now.getTime()) / 1000);
  if (seconds <= 0) throw new ServiceError('InvalidArgs', 'expiration is in the past');
  return Math.min(seconds, longestLifeS);
}
