import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';

const defaultLifetimeS = 3600;
const maxLifetimeS = 86_400;

/** The resource of a token, which must be that of the identity or below it; InvalidArgs for another one. */
export function resolveAudience(own: string, audience: string): string {
  if (audience === '' || audience === own) return own;
  if (!audience.startsWith(`${own}/`) || audience.split('/').includes('..')) {
    throw new ServiceError(
      'InvalidArgs',
      `the audience ${quoted(audience)} is not ${own} or below it`,
    );
  }
  return audience;
}

/** A token without its signature. */
export interface UnsignedToken {
  /** The signed text: `sr` exactly as it is sent, a line feed, the expiry. */
  readonly text: string;
  readonly sr: string;
  readonly expiryS: number;
}

/** Creates a token for a resource; lifetime in seconds, 0 is one hour, more than a day is InvalidArgs. */
export function unsignedToken(resource: string, lifetimeS: number, now: Date): UnsignedToken {
  if (lifetimeS > maxLifetimeS) {
    throw new ServiceError('InvalidArgs', `lifetime_s ${lifetimeS} is more than ${maxLifetimeS}`);
  }
  const sr = encodeURIComponent(resource);
  const expiryS = Math.floor(now.getTime() / 1000) + (lifetimeS || defaultLifetimeS);
  return { text: `${sr}\n${expiryS}`, sr, expiryS };
}

/** The token in the form of an Authorization header. */
export function signedToken({ sr, expiryS }: UnsignedToken, signature: Buffer): string {
  const sig = encodeURIComponent(signature.toString('base64'));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${expiryS}`;
}
