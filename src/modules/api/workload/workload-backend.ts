import { isServiceError, ServiceError } from '../../../errors.ts';
import { type CertificateId, type ModuleId, type ModuleName, moduleIdOf } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import type { Log } from '../../../service/log/log.ts';
import { SharedReads } from '../../../service/shared-reads.ts';
import type { Clients } from '../../clients.ts';
import type { ModulesConfig } from '../../config/config.ts';
import { isLabel } from '../../docker/confinement/host-name.ts';
import type { Identities, ModuleIdentity } from '../../identities.ts';
import {
  generatedHostname,
  grantedNames,
  mayBeCertified,
  type Upstream,
} from '../../module-names.ts';
import type { ModuleSource } from '../../module-source.ts';
import type { HeldCall } from '../http/hold.ts';
import { type ModuleSummary, moduleList } from '../module-list.ts';
import type { IssuingCas } from './issuing-cas.ts';
import {
  certificateIdOf,
  createCertificate,
  identityNames,
  serverNames,
} from './module-certificate.ts';
import { type AttemptOptions, Outage } from './outage.ts';
import { TrustBundle } from './trust-bundle.ts';
import type { CertificateRequest, WorkloadBackend } from './workload.ts';
import type { WorkloadCa } from './workload-ca.ts';

const encryptionKey = 'iotedge/module-encryption';
const maxLifetimeS = 30 * 86_400;

/** Sources of the responses: the other three services and the modules. */
export interface BackendParts {
  readonly config: Pick<
    ModulesConfig,
    'agent' | 'deviceCa' | 'trustedCas' | 'hostname' | 'serverNames' | 'moduleKey'
  >;
  readonly clients: Pick<Clients, 'keys' | 'certificates'>;
  readonly identities: Identities;
  readonly modules: () => readonly ModuleSummary[];
  /** The configurations of the same modules. */
  readonly sources: () => readonly ModuleSource[];
  /** The id of a module's container, undefined when it has none. */
  readonly containerId: (module: ModuleName) => string | undefined;
  /** Modules trust these beside the trust bundle; by default none. */
  readonly issuingCas?: Pick<IssuingCas, 'note' | 'complete'>;
  /** Issues the certificates of modules when it can; by default the device CA does. */
  readonly workloadCa?: Pick<WorkloadCa, 'issue'>;
  readonly now: () => Date;
  readonly log: Log;
}

/** A backend that is notified when the modules change. */
export interface ModulesBackend extends WorkloadBackend {
  /** Evicts the list of modules after one was added, changed or removed. */
  evictModules(): void;
}

/** The backing services, each of which may be temporarily unavailable. */
interface Outages {
  readonly keys: Outage;
  readonly certificates: Outage;
  readonly identity: Outage;
}

type Parts = BackendParts & { readonly outages: Outages; readonly trustBundle: TrustBundle };

/** Serves the workload API by delegating each request to the responsible service. */
export function workloadBackend(backendParts: BackendParts): ModulesBackend {
  const { clients, log, modules } = backendParts;
  const outages = {
    keys: new Outage('keys', log),
    certificates: new Outage('certificates', log),
    identity: new Outage('identity', log),
  };
  // shared, as the result is the same for all modules and requests are not limited
  const lists = new SharedReads<Buffer>();
  const trustBundle = new TrustBundle(clients.certificates, outages.certificates);
  const parts = {
    ...backendParts,
    outages,
    trustBundle,
    // replaced by a reload
    get config() {
      return backendParts.config;
    },
  };
  const list = async () => Buffer.from(JSON.stringify(moduleList(modules())));
  return {
    modules: ({ signal }) => lists.get('', list, signal),
    evictModules: () => lists.evictAll(),
    identity: async (moduleId, call) => {
      const { generation_id: generationId } = await identityOf(parts, moduleId, call);
      return { moduleId, generationId };
    },
    sign: (moduleId, data, call) => sign(parts, { moduleId, data }, call),
    encrypt: (input, aad, call) => encrypt(parts, { method: 'Encrypt', input, aad }, call),
    decrypt: (input, aad, call) => seal(parts, { method: 'Decrypt', input, aad }, call),
    trustBundle: async (call) => {
      const pem = await trustBundle.read(parts.config.trustedCas, call);
      return parts.issuingCas?.complete(pem) ?? pem;
    },
    // deployment manifests are not signed here
    manifestTrustBundle: () => Promise.resolve(''),
    certificate: (module, request, call) => certificate(parts, { module, request }, call),
  };
}

function identityOf(
  { identities, outages }: Parts,
  moduleId: ModuleId,
  call: HeldCall,
): Promise<ModuleIdentity> {
  return outages.identity.call(call, (options) => identities.get(moduleId, options));
}

async function sign(
  parts: Parts,
  { moduleId, data }: { readonly moduleId: ModuleId; readonly data: Buffer },
  call: HeldCall,
): Promise<Buffer> {
  const { auth, key_id, derivation } = await identityOf(parts, moduleId, call);
  if (auth !== 'sas') {
    throw new ServiceError('NotSupported', `module "${moduleId}" has no key of its own`);
  }
  const options = derivation.length > 0 ? { derivation } : {};
  const request = { key_id, mechanism: 'hmac-sha256', data, options };
  const { clients, outages } = parts;
  return (await outages.keys.call(call, (via) => clients.keys.Sign(request, via))).signature;
}

/** Data to encrypt or decrypt, with its associated data. */
interface Sealing {
  readonly method: 'Encrypt' | 'Decrypt';
  readonly input: Buffer;
  readonly aad: Buffer;
}

/** Encrypts with a key that is created on first use. */
async function encrypt(parts: Parts, sealing: Sealing, call: HeldCall): Promise<Buffer> {
  try {
    return await seal(parts, sealing, call);
  } catch (error) {
    if (!isServiceError(error, 'NotFound')) throw error;
  }
  const { clients, outages } = parts;
  const options = { if_exists: 'keep' };
  const key = { key_id: encryptionKey, algorithm: 'aes-256', usages: ['encrypt'], options };
  await outages.keys.call(call, (via) => clients.keys.CreateKey(key, via));
  return seal(parts, sealing, call);
}

async function seal(
  { clients: { keys }, outages }: Parts,
  { method, input, aad }: Sealing,
  call: HeldCall,
): Promise<Buffer> {
  const request = { key_id: encryptionKey, mechanism: 'aes-256-gcm', input, options: { aad } };
  return (await outages.keys.call(call, (via) => keys[method](request, via))).output;
}

async function certificate(
  parts: Parts,
  { module, request }: { readonly module: ModuleName; readonly request: CertificateRequest },
  call: HeldCall,
) {
  const { config, issuingCas, now, outages, trustBundle } = parts;
  const isServer = request.purpose === 'server';
  const identity = await identityOf(parts, moduleIdOf(module), call);
  if (isServer) checkName(parts, { module, name: request.commonName, upstream: identity });
  const names = isServer ? serverNames(request.commonName, module) : identityNames(identity);
  const lifetime_s = lifetimeS(request.notAfter, now());
  const profile = isServer ? 'server' : 'client';
  const certificate_id = certificateIdOf(module, request.purpose);
  const issued = await createCertificate(names, config.moduleKey, (csr) => {
    const order = { certificate_id, csr, options: { profile, lifetime_s } };
    return outages.certificates.call(call, (via) => issueBy(parts, order, via));
  });
  await issuingCas?.note(issued.chainPem, () => trustBundle.read(config.trustedCas, call));
  return issued;
}

type IssueRequest = Parameters<Clients['certificates']['Issue']>[0];

/** Has a certificate issued by the workload CA or the device CA; returns its chain. */
async function issueBy(
  { clients, config, workloadCa }: Parts,
  request: IssueRequest,
  via: AttemptOptions,
): Promise<string> {
  const by = async (issuer: CertificateId | undefined): Promise<string> => {
    const options = { ...request.options, ...(issuer !== undefined && { issuer }) };
    return (await clients.certificates.Issue({ ...request, options }, via)).chain_pem;
  };
  return workloadCa === undefined ? by(config.deviceCa) : workloadCa.issue(by, via);
}

/** A module may use its own names and those of `server_names`, unless they belong to another module. */
function checkName(
  { config, containerId, sources }: BackendParts,
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
  const hostname = source && generatedHostname(source, containerId(module));
  // the certificate contains the module's own name, too
  const names = isLabel(module) ? [name, module] : [name];
  const may = (one: string): boolean =>
    source !== undefined && mayBeCertified(one, { source, others, config, upstream, hostname });
  if (names.every(may)) return;
  const shown = quoted(name);
  const granted = grantedNames(module, config);
  const listed = granted.length > 0 ? granted.join(', ') : 'none';
  const text = `${shown} is not a name of module "${module}"; server_names and hostname of modules.yaml give it besides its own: ${listed}`;
  throw new ServiceError('AccessDenied', text);
}

function lifetimeS(notAfter: Date | undefined, now: Date): number {
  if (notAfter === undefined) return maxLifetimeS;
  const seconds = Math.floor((notAfter.getTime() - now.getTime()) / 1000);
  if (seconds <= 0) throw new ServiceError('InvalidArgs', 'expiration is in the past');
  return Math.min(seconds, maxLifetimeS);
}
