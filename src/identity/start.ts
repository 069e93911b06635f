import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { serviceClient } from '../dbus/client/client.ts';
import { ownRequest, type Via } from '../dbus/client/via.ts';
import { describeError, ServiceError } from '../errors.ts';
import type { HttpsClient } from '../https/https-client.ts';
import { certificatesService } from '../interfaces/certificates.ts';
import type { identityService } from '../interfaces/identity.ts';
import { keysService } from '../interfaces/keys.ts';
import { quoted } from '../quoted.ts';
import { Cancellations } from '../service/operations/cancellations.ts';
import { IntentFiles } from '../service/operations/intent-files.ts';
import { Operations } from '../service/operations/operations.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import { NamedCertificates } from './cloud/certificate-file.ts';
import type { CloudClient } from './cloud/cloud.ts';
import { type CredentialSource, certificateName, readCredential } from './cloud/credential.ts';
import { HttpsCloud } from './cloud/https-cloud.ts';
import type { DpsSettings, IdentityConfig } from './config/config.ts';
import { identityHandlers, identityResolvers } from './handlers.ts';
import { Hub } from './hub/hub.ts';
import { ModuleIdentities } from './hub/module-identities.ts';
import { ModuleKeyring } from './hub/module-keys.ts';
import { identityOperations, resumeOperations } from './identity-operations.ts';
import { DpsProvisioner } from './provisioners/dps.ts';
import type { Provisioner } from './provisioners/provisioner.ts';
import { Device } from './provisioning.ts';
import { Publication } from './publication.ts';
import { IdentityState } from './state.ts';

type Context = StartContext<typeof identityService, IdentityConfig>;

const decisionMs = 10 * 60_000;
/** For the intents of deletions while the disk is full. */
const reservedBytes = [4096, 4096, 4096, 4096];

/** What follows from a configuration: a reload replaces it as a whole. */
interface Configured {
  readonly config: IdentityConfig;
  readonly cloud: CloudClient;
  readonly provisioner: Provisioner | undefined;
}

/** Puts the Identity service together; provisioning begins once the service has its name. */
export async function startIdentity(
  context: Context,
  https: HttpsClient,
): Promise<StartedService<typeof identityService, IdentityConfig>> {
  const { bus, stateDir, log, now, objects, signal } = context;
  const publication = new Publication(objects, now);
  const keyring = new ModuleKeyring(serviceClient(bus, keysService, keysService.manager));
  const state = await IdentityState.open(stateDir);
  const disk = context.cleanup.use(await StateDisk.open(stateDir, { reserve: reservedBytes }));
  disk.onProblem((problem) => publication.setDisk(problem));
  const intents = new IntentFiles(join(stateDir, 'operations'), {
    disk,
    frees: new Set(['DeleteModuleIdentity']),
  });
  const operations = operationsOf(publication, log);
  const begin = ({ again }: { readonly again: boolean }): void => {
    const request = { id: '', args: {}, wait: false, requestId: randomUUID(), isOwn: true };
    const kind = again ? kinds.reprovision : kinds.provision;
    operations.begin(kind, request).catch((error: unknown) => {
      log.info('provisioning not begun', { reason: describeError(error) });
    });
  };
  const configured = (config: IdentityConfig): Configured => {
    const cloud = cloudOf({ ...context, config }, https, {
      onDate: (date) => publication.setClock(date),
      // a certificate that is renewed may name another device
      onCommonName: (name) => {
        if (config === inForce.config && config.dps?.registrationId === undefined)
          device.register(name);
      },
    });
    return { config, cloud, provisioner: config.dps && dpsProvisioner(context, config.dps, cloud) };
  };
  let inForce = configured(context.config);
  const loadDevice = ({ config: { dps }, provisioner }: Configured): Promise<Device> =>
    Device.load({
      dps,
      registrationId: (via) => registrationIdOf(context, required(dps), via),
      // each attempt is made with the settings in force when it begins
      provisioner: provisioner && {
        ...sourceOf(provisioner),
        provision: (via) => (inForce.provisioner ?? provisioner).provision(via),
      },
      state,
      begin,
      publish: (status) => publication.setStatus(status),
      log,
      now,
    });
  let device = await loadDevice(inForce);
  const devices = new Set([device]);
  publication.setSource(sourceProperties(inForce), device.status);
  context.cleanup.defer(async () => {
    for (const each of devices) each.stop();
    await operations.stop();
  });
  const modules: ModuleIdentities = new ModuleIdentities({
    state,
    keyring,
    device: () => device.saved,
    deviceOrNone: () => device.savedOrNone,
    hub: (saved) => new Hub(inForce.cloud, saved),
    changed: () => publication.setModules(modules),
    log,
  });
  publication.setModules(modules);
  const kinds = identityOperations({ intents, device: () => device, modules });
  const cancellations = new Cancellations();
  const served = { modules, keyring, operations, kinds, cancellations, now, stopping: signal };
  const saved = await intents.readAll(log);
  publication.setIntents(intents);
  const answers = () => ({
    handlers: identityHandlers({ ...served, config: inForce.config, device }),
  });
  return {
    ...answers(),
    resolvers: identityResolvers(served),
    describeMore: () => ({ damaged: Object.fromEntries(modules.damaged) }),
    onNameAcquired: () => {
      resumeOperations(operations, kinds, { saved, log });
      if (operations.current('') === undefined) device.start();
      void device.check(ownRequest(signal));
    },
    isBusy: () => operations.isBusy,
    due: () => device.due,
    async reload(config) {
      const next = configured(config);
      const before = device;
      const isOther = !isDeepStrictEqual(config.dps, inForce.config.dps);
      const other = isOther ? await loadDevice(next) : before;
      inForce = next;
      if (other === before) before.retry();
      else {
        before.retire();
        device = other;
        devices.add(device);
        publication.setSource(sourceProperties(next), device.status);
        publication.setModules(modules);
        // what is in progress is about the former settings
        void operations.clear('').then(() => other.start());
        void other.check(ownRequest(signal));
      }
      return {
        ...answers(),
        retire() {
          if (isOther) devices.delete(before);
        },
      };
    },
  };
}

function operationsOf(publication: Publication, log: Context['log']): Operations {
  const operations: Operations = new Operations({
    nameOf: (id) => (id === '' ? 'the device' : `module ${quoted(id)}`),
    onChange: () => publication.setOperation(operations.verb('')),
    log,
  });
  return operations;
}

function sourceOf({
  source,
  attestation,
}: Provisioner): Pick<Provisioner, 'source' | 'attestation'> {
  return { source, attestation };
}

function sourceProperties({ provisioner }: Configured) {
  return { Source: provisioner?.source ?? '', Attestation: provisioner?.attestation ?? '' };
}

/** Notified of what the cloud and the device's certificate show. */
interface CloudListeners {
  readonly onDate: (date: Date) => void;
  readonly onCommonName: (name: string) => void;
}

function cloudOf(
  context: Context,
  https: HttpsClient,
  { onDate, onCommonName }: CloudListeners,
): CloudClient {
  const { cloud: settings, dps } = context.config;
  const files = new NamedCertificates();
  return new HttpsCloud({
    https,
    settings,
    files,
    userAgent: `iotedge-identity/${context.version}`,
    onDate,
    credential: async (via) => {
      const credential = await readCredential(
        sourceOfCredential(context, files, required(dps)),
        via,
      );
      if (credential.commonName !== undefined) onCommonName(credential.commonName);
      return credential;
    },
  });
}

function sourceOfCredential(
  { bus, now }: Context,
  files: NamedCertificates,
  dps: DpsSettings,
): CredentialSource {
  const certificates = serviceClient(bus, certificatesService, certificatesService.manager);
  return { certificates, files, dps, now };
}

function dpsProvisioner(context: Context, dps: DpsSettings, cloud: CloudClient): DpsProvisioner {
  const { globalEndpoint, scopeId } = dps;
  return new DpsProvisioner({
    globalEndpoint,
    scopeId,
    cloud,
    registrationId: (via) => registrationIdOf(context, dps, via),
    delay: (ms, stop) => delay(ms, undefined, { signal: stop }),
    deadline: () => AbortSignal.timeout(decisionMs),
  });
}

/** The id that the device registers with: configured, or the name in its certificate. */
async function registrationIdOf(context: Context, dps: DpsSettings, via: Via): Promise<string> {
  if (dps.registrationId !== undefined) return dps.registrationId;
  const source = sourceOfCredential(context, new NamedCertificates(), dps);
  const { commonName } = await readCredential(source, via);
  if (commonName !== undefined) return commonName;
  throw new ServiceError(
    'Unavailable',
    `${certificateName(dps)} has no common name: set provisioning.registration_id`,
  );
}

function required(dps: DpsSettings | undefined): DpsSettings {
  if (dps !== undefined) return dps;
  throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
}
