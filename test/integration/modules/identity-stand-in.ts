import type { Bus } from '../../../src/dbus/bus.ts';
import { Callers } from '../../../src/dbus/caller.ts';
import { serve } from '../../../src/dbus/serve.ts';
import { ServiceError } from '../../../src/errors.ts';
import { isModuleName } from '../../../src/ids.ts';
import { identityService } from '../../../src/interfaces/identity.ts';

function unused(): never {
  throw new ServiceError('NotSupported', 'not needed by these tests');
}

/** Serves the part of Identity1 that the runtime needs, for a device that is provisioned without a cloud. */
export async function serveIdentities(bus: Bus): Promise<void> {
  const known = new Set<string>();
  const record = (moduleId: string) => ({
    kind: 'module',
    hub_hostname: 'hub.example',
    gateway_hostname: '',
    device_id: 'device',
    module_id: moduleId,
    generation_id: 'g1',
    auth: 'sas',
    key_id: 'iotedge/module-identities',
    derivation: Buffer.from(`${moduleId}:g1:primary`),
    certificate_id: '',
  });
  serve(bus, identityService, {
    handlers: {
      Provision: unused,
      Reprovision: unused,
      GetDeviceIdentity: unused,
      GetCallerIdentity: unused,
      ListModuleIdentities: unused,
      UpdateModuleIdentity: unused,
      DeleteModuleIdentity: unused,
      CreateSasToken: unused,
      Cancel: unused,
      GetModuleIdentity({ module_id }) {
        if (!known.has(module_id)) throw new ServiceError('NotFound', `no module ${module_id}`);
        return { identity: record(module_id) };
      },
      CreateModuleIdentity({ module_id }) {
        known.add(module_id);
        return { identity: record(module_id) };
      },
    },
    resolvers: {},
    properties: {
      Version: '1',
      Health: 'ok',
      LastError: '',
      State: 'provisioned',
      Source: 'dps',
      Attestation: 'x509',
      HubHostname: 'hub.example',
      DeviceId: 'device',
      GatewayHostname: '',
      LastProvisioned: 0n,
      NextAttempt: 0n,
      ClockSkew: 0n,
    },
    authorizer: { authorize: () => undefined },
    callers: await Callers.start(bus),
    names: {
      'key-id': () => true,
      'certificate-id': () => true,
      'module-id': isModuleName,
      'module-name': isModuleName,
    },
    logControl: { level: 'info', target: 'console', syslogIdentifier: 'identity' },
    observer: { decided: () => undefined, failed: () => undefined },
  });
  await bus.requestName(identityService.busName);
}
