import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { hostOf } from './confinement/host-name.ts';
import type { ModuleSettings } from './create-options/create-options.ts';

/** The hosts above a device, as the Identity service reports them. */
export interface UpstreamHosts {
  readonly hub_hostname: string;
  readonly gateway_hostname: string;
}

const placeholder = /^\$upstream(?=[:/])/;

/**
 * Settings whose image and registry name the parent of this device where they name `$upstream`. InvalidArgs when it has
 * none.
 */
export function withUpstream(settings: ModuleSettings, hosts: UpstreamHosts): ModuleSettings {
  const { auth, image } = settings;
  if (!placeholder.test(image)) return settings;
  const { gateway_hostname: parent, hub_hostname: hub } = hosts;
  if (parent === '' || parent === hub) {
    const text = `image ${quoted(image)} is at the parent of this device, and it has none`;
    throw new ServiceError('InvalidArgs', text);
  }
  // the port of the parent is that of its hub, not of its registry
  const host = hostOf(parent);
  const replaced = (name: string): string => name.replace(/^\$upstream(?=[:/]|$)/, () => host);
  const serveraddress = auth?.serveraddress;
  return {
    ...settings,
    image: replaced(image),
    ...(serveraddress !== undefined && {
      auth: { ...auth, serveraddress: replaced(serveraddress) },
    }),
  };
}
