import { createHmac, timingSafeEqual } from 'node:crypto';

/** The claims of a token, as they were sent. */
interface Claims {
  readonly sr: string;
  readonly sig: string;
  readonly se: string;
  readonly skn: string | undefined;
}

const prefix = 'SharedAccessSignature ';

function claimsOf(authorization: string): Claims | undefined {
  if (!authorization.startsWith(prefix)) return undefined;
  const fields = new Map(
    authorization
      .slice(prefix.length)
      .split('&')
      .map((field) => {
        const at = field.indexOf('=');
        return [field.slice(0, at), field.slice(at + 1)] as const;
      }),
  );
  const sr = fields.get('sr');
  const sig = fields.get('sig');
  const se = fields.get('se');
  if (sr === undefined || sig === undefined || se === undefined) return undefined;
  // Java's clients send an empty key name
  return { sr, sig: decodeURIComponent(sig), se, skn: fields.get('skn') || undefined };
}

/** The claimed signer of a token: the decoded resource and the name of the policy. */
export function claimedBy(
  authorization: string,
): { readonly resource: string; readonly keyName: string | undefined } | undefined {
  const claims = claimsOf(authorization);
  return claims && { resource: decodeURIComponent(claims.sr), keyName: claims.skn };
}

/** The expected claims and the key of a token. */
export interface SasExpectation {
  /** The resource, not encoded; the token may contain it encoded or not. */
  readonly resource: string;
  readonly key: Buffer;
  readonly now: Date;
  readonly keyName?: string;
}

/** The reason why a token is refused, undefined for a valid one. The signature covers `sr` as it was sent. */
export function refusalOfSas(authorization: string, expected: SasExpectation): string | undefined {
  const claims = claimsOf(authorization);
  if (claims === undefined) return 'not a SharedAccessSignature';
  if (decodeURIComponent(claims.sr).toLowerCase() !== expected.resource.toLowerCase()) {
    return `token is for ${claims.sr}`;
  }
  if (claims.skn !== expected.keyName) return `unexpected skn ${claims.skn ?? '(none)'}`;
  if (!/^\d+$/.test(claims.se) || Number(claims.se) * 1000 <= expected.now.getTime()) {
    return `token expired at ${claims.se}`;
  }
  const wanted = createHmac('sha256', expected.key).update(`${claims.sr}\n${claims.se}`).digest();
  const given = Buffer.from(claims.sig, 'base64');
  const equal = given.length === wanted.length && timingSafeEqual(given, wanted);
  return equal ? undefined : 'wrong signature';
}

export interface SasOptions {
  readonly key: Buffer;
  readonly keyName?: string;
  readonly expires: Date;
  /** Not all clients encode the resource. */
  readonly encoded?: boolean;
}

/** Creates a token, as clients do. */
export function makeSas(
  resource: string,
  { key, keyName, expires, encoded = true }: SasOptions,
): string {
  const sr = encoded ? encodeURIComponent(resource) : resource;
  const se = Math.floor(expires.getTime() / 1000);
  const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
  const name = keyName === undefined ? '' : `&skn=${keyName}`;
  return `${prefix}sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}${name}`;
}
