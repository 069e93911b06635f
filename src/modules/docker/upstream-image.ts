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

/** Whether an image is named by the parent of this device. */
export function isAtUpstream(image: string): boolean {
  return placeholder.test(image);
}

/** The reference of an image if its registry is the parent, as `$upstream` names it, without the port 443. */
export function upstreamFormOf(reference: string): string {
  const form = (_host: string, port = ''): string => `$upstream${port === ':443' ? '' : port}`;
  return reference.replace(/^[^/:]+(:\d+)?(?=\/)/, form);
}

/** Settings as `withUpstream`, with hosts that are asked for only where they are needed. */
export async function resolveUpstream(
  settings: ModuleSettings,
  hosts: () => Promise<UpstreamHosts>,
): Promise<ModuleSettings> {
  return isAtUpstream(settings.image) ? withUpstream(settings, await hosts()) : settings;
}

/**
 * Settings whose image and registry name the parent of this device where they name `$upstream`. InvalidArgs when it has
 * none.
 */
export function withUpstream(settings: ModuleSettings, hosts: UpstreamHosts): ModuleSettings {
  const { auth, image } = settings;
  if (!isAtUpstream(image)) return settings;
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
    image: replaced(hasHost(host) ? image : image.replace(/^\$upstream\//, () => '$upstream:443/')),
    ...(serveraddress !== undefined && {
      auth: { ...auth, serveraddress: replaced(serveraddress) },
    }),
  };
}

/** Whether engines take a name for the host of a registry also without a port: any other is a user of Docker Hub. */
function hasHost(name: string): boolean {
  return name.includes('.') || name === 'localhost';
}
