import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { client } from '../dbus/client.ts';
import type { Properties } from '../dbus/definition.ts';
import type { Server } from '../dbus/serve.ts';
import { ServiceError } from '../errors.ts';
import { certificatesService } from '../interfaces/certificates.ts';
import type { identityInterface, identityService } from '../interfaces/identity.ts';
import { keysService } from '../interfaces/keys.ts';
import type { HttpsClient } from '../service/https.ts';
import type { Running, StartContext } from '../service/lifetime.ts';
import type { CloudClient } from './cloud.ts';
import type { DpsSettings, IdentityConfig } from './config.ts';
import { readCredential } from './credential.ts';
import { Device, type ProvisioningStatus } from './device.ts';
import { identityHandlers } from './handlers.ts';
import { HttpsCloud } from './https-cloud.ts';
import { Hub } from './hub.ts';
import { ModuleKeyring } from './keys.ts';
import { ModuleIdentities } from './modules.ts';
import { DpsProvisioner } from './provisioners/dps.ts';
import { moduleProperties } from './record.ts';
import { IdentityState } from './state.ts';

type Context = StartContext<IdentityConfig>;
type IdentityServer = Server<typeof identityService>;
type ManagerProperties = Properties<typeof identityInterface>;

/** Puts the Identity service together; provisioning begins once the service has its name. */
export async function startIdentity(
  context: Context,
  https: HttpsClient,
): Promise<Running<typeof identityService>> {
  const { bus, config, stateDir, log, now, signal, version } = context;
  const news = new News();
  const keys = client(bus, keysService, keysService.manager);
  const cloud = await cloudOf(context, https, (date) => news.setClock(date, now()));
  const state = await IdentityState.open(stateDir);
  const provisioner = config.dps && dpsProvisioner(context, config.dps, cloud);
  const publish = (status: ProvisioningStatus): void => news.setStatus(status);
  const device = await Device.load({ dps: config.dps, provisioner, state, publish, log, now });
  context.cleanup.defer(() => device.stop());
  const keyring = new ModuleKeyring(keys);
  const modules = await ModuleIdentities.load({
    state,
    keyring,
    device: () => device.saved,
    hub: (saved) => new Hub(cloud, saved),
    published: {
      put: (module) => news.server?.putObject(module.moduleId, moduleProperties(module)),
      remove: (id) => news.server?.removeObject(id),
    },
    log,
  });
  return {
    handlers: identityHandlers({ config, device, modules, keyring, now, stopping: signal }),
    resolvers: {},
    properties: {
      Version: version,
      Source: provisioner?.source ?? '',
      Attestation: provisioner?.attestation ?? '',
      ClockSkew: 0n,
      ...statusProperties(device.status),
    },
    describeMore: () => ({ damaged: Object.fromEntries(modules.damaged) }),
    publish: (server) => {
      news.server = server;
      for (const module of modules.list()) {
        server.putObject(module.moduleId, moduleProperties(module));
      }
    },
    live: () => device.start(),
    isBusy: () => device.status.state === 'provisioning',
    due: () => device.due,
  };
}

/** What the bus is told, once there is a server to tell it. */
class News {
  server: IdentityServer | undefined;

  setStatus(status: ProvisioningStatus): void {
    this.server?.setProperties(statusProperties(status));
  }

  setClock(theirs: Date, ours: Date): void {
    this.server?.setProperties({ ClockSkew: microseconds(theirs) - microseconds(ours) });
  }
}

function statusProperties({
  state,
  device,
  lastError,
  nextAttempt,
}: ProvisioningStatus): Omit<
  ManagerProperties,
  'Version' | 'Source' | 'Attestation' | 'ClockSkew'
> {
  return {
    State: state,
    Health: lastError === '' ? 'ok' : 'degraded',
    LastError: lastError,
    HubHostname: device?.hubHostname ?? '',
    DeviceId: device?.deviceId ?? '',
    GatewayHostname: device?.hubHostname ?? '',
    LastProvisioned: device === undefined ? 0n : microseconds(new Date(device.provisionedAt)),
    NextAttempt: nextAttempt === undefined ? 0n : microseconds(nextAttempt),
  };
}

function microseconds(date: Date): bigint {
  return BigInt(date.getTime()) * 1000n;
}

async function cloudOf(
  { bus, config, now, version }: Context,
  https: HttpsClient,
  onDate: (date: Date) => void,
): Promise<CloudClient> {
  const { cloud: settings, dps } = config;
  const certificates = client(bus, certificatesService, certificatesService.manager);
  const roots = await Promise.all(settings.trustedCa.map((file) => readFile(file, 'utf8')));
  return new HttpsCloud({
    https,
    settings,
    ca: roots.length === 0 ? undefined : roots.join('\n'),
    userAgent: `iotedge-identity/${version}`,
    onDate,
    credential: (signal) => {
      const { certificateId, keyId } = required(dps);
      return readCredential({ certificates, certificateId, keyId, now }, signal);
    },
  });
}

function dpsProvisioner(context: Context, dps: DpsSettings, cloud: CloudClient): DpsProvisioner {
  const { bus, now, signal } = context;
  const certificates = client(bus, certificatesService, certificatesService.manager);
  const { certificateId, keyId, globalEndpoint, scopeId } = dps;
  return new DpsProvisioner({
    globalEndpoint,
    scopeId,
    cloud,
    registrationId: async () => {
      if (dps.registrationId !== undefined) return dps.registrationId;
      const source = { certificates, certificateId, keyId, now };
      const { commonName } = await readCredential(source, signal);
      if (commonName !== undefined) return commonName;
      throw new ServiceError(
        'Unavailable',
        `certificate "${certificateId}" has no common name: set provisioning.registration_id`,
      );
    },
    delay: (ms, stop) => delay(ms, undefined, { signal: stop }),
  });
}

function required(dps: DpsSettings | undefined): DpsSettings {
  if (dps !== undefined) return dps;
  throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
}
