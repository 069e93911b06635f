import { setTimeout as delay } from 'node:timers/promises';
import { serviceClient } from '../dbus/client.ts';
import { ServiceError } from '../errors.ts';
import { certificatesService } from '../interfaces/certificates.ts';
import type { identityService } from '../interfaces/identity.ts';
import { keysService } from '../interfaces/keys.ts';
import type { HttpsClient } from '../service/https.ts';
import type { Running, StartContext } from '../service/lifetime.ts';
import type { CloudClient } from './cloud.ts';
import type { DpsSettings, IdentityConfig } from './config.ts';
import { readCredential } from './credential.ts';
import { Device } from './device.ts';
import { identityHandlers } from './handlers.ts';
import { HttpsCloud } from './https-cloud.ts';
import { Hub } from './hub.ts';
import { ModuleKeyring } from './keys.ts';
import { ModuleIdentities } from './modules.ts';
import { News } from './news.ts';
import { DpsProvisioner } from './provisioners/dps.ts';
import { IdentityState } from './state.ts';

type Context = StartContext<IdentityConfig>;

const decisionMs = 10 * 60_000;

/** Puts the Identity service together; provisioning begins once the service has its name. */
export async function startIdentity(
  context: Context,
  https: HttpsClient,
): Promise<Running<typeof identityService>> {
  const { bus, config, stateDir, log, now, signal, version } = context;
  const news = new News(now);
  const keys = serviceClient(bus, keysService, keysService.manager);
  const cloud = cloudOf(context, https, (date) => news.setClock(date));
  const state = await IdentityState.open(stateDir);
  const provisioner = config.dps && dpsProvisioner(context, config.dps, cloud);
  const device = await Device.load({
    dps: config.dps,
    provisioner,
    state,
    publish: (status) => news.setStatus(status),
    log,
    now,
  });
  news.setStatus(device.status);
  context.cleanup.defer(() => device.stop());
  const keyring = new ModuleKeyring(keys);
  const modules: ModuleIdentities = await ModuleIdentities.load({
    state,
    keyring,
    device: () => device.saved,
    knownDevice: () => device.known,
    hub: (saved) => new Hub(cloud, saved),
    changed: () => news.setModules(modules),
    log,
  });
  news.setModules(modules);
  return {
    handlers: identityHandlers({ config, device, modules, keyring, now, stopping: signal }),
    resolvers: {},
    properties: {
      Version: version,
      Source: provisioner?.source ?? '',
      Attestation: provisioner?.attestation ?? '',
      ...news.properties,
    },
    describeMore: () => ({ damaged: Object.fromEntries(modules.damaged) }),
    publish: (server) => news.attach(server),
    live: () => device.start(),
    isBusy: () => device.status.state === 'provisioning',
    due: () => device.due,
  };
}

function cloudOf(
  { bus, config, now, version }: Context,
  https: HttpsClient,
  onDate: (date: Date) => void,
): CloudClient {
  const { cloud: settings, dps } = config;
  const certificates = serviceClient(bus, certificatesService, certificatesService.manager);
  return new HttpsCloud({
    https,
    settings,
    userAgent: `iotedge-identity/${version}`,
    onDate,
    credential: (via) => {
      const { certificateId, keyId } = required(dps);
      return readCredential({ certificates, certificateId, keyId, now }, via);
    },
  });
}

function dpsProvisioner(context: Context, dps: DpsSettings, cloud: CloudClient): DpsProvisioner {
  const { bus, now } = context;
  const certificates = serviceClient(bus, certificatesService, certificatesService.manager);
  const { certificateId, keyId, globalEndpoint, scopeId } = dps;
  return new DpsProvisioner({
    globalEndpoint,
    scopeId,
    cloud,
    registrationId: async (via) => {
      if (dps.registrationId !== undefined) return dps.registrationId;
      const source = { certificates, certificateId, keyId, now };
      const { commonName } = await readCredential(source, via);
      if (commonName !== undefined) return commonName;
      throw new ServiceError(
        'Unavailable',
        `certificate "${certificateId}" has no common name: set provisioning.registration_id`,
      );
    },
    delay: (ms, stop) => delay(ms, undefined, { signal: stop }),
    deadline: () => AbortSignal.timeout(decisionMs),
  });
}

function required(dps: DpsSettings | undefined): DpsSettings {
  if (dps !== undefined) return dps;
  throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
}
