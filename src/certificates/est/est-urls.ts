import type { EstSettings } from '../config/est-settings.ts';

/** The operations of RFC 7030 that are used. */
export type Operation = 'cacerts' | 'csrattrs' | 'simpleenroll' | 'simplereenroll';

const wellKnown = '/.well-known/est';

/** The URL of an operation: below `/.well-known/est` unless the configured URL has a path of its own. */
export function urlOf(
  { url, label }: Pick<EstSettings, 'url' | 'label'>,
  operation: Operation,
): string {
  const base = new URL(url);
  const prefix = base.pathname === '/' ? wellKnown : base.pathname.replace(/\/+$/, '');
  return `${base.origin}${[prefix, label, operation].filter(Boolean).join('/')}`;
}

/** Where a redirect leads; undefined unless it is a 307 to another URL of the same origin. */
export function redirectOf(
  from: string,
  {
    status,
    headers,
  }: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
): string | undefined {
  const location = headers['location'];
  if (status !== 307 || location === undefined || !URL.canParse(location, from)) return undefined;
  const to = new URL(location, from);
  return to.origin === new URL(from).origin ? to.href : undefined;
}
