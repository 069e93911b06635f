import { quoted } from '../../quoted.ts';
import type { DpsSettings } from '../config/config.ts';
import type { SavedDevice } from '../state.ts';

/**
 * The settings that a request to the provisioning service was made with, `` without any. A device is valid for them
 * wherever the request was sent, a Retry-After only for that place: it comes last, where older versions do not look.
 */
export function provisionedFor(dps: DpsSettings | undefined): string {
  if (dps === undefined) return '';
  const { globalEndpoint, scopeId, endpoint } = dps;
  const other = endpoint === globalEndpoint ? [] : [endpoint];
  return JSON.stringify([globalEndpoint, scopeId, subjectOf(dps), ...other]);
}

/**
 * The differences between the settings of a saved device and the current ones, `` without any. `registrationId` may be
 * the name in a certificate, and is undefined until that was read.
 */
export function differenceOf(
  saved: Pick<SavedDevice, 'answerTo' | 'registrationId'>,
  dps: DpsSettings,
  registrationId: string | undefined,
): string {
  const [endpoint = '', scopeId = '', subject = ''] = partsOf(saved.answerTo);
  const before = saved.registrationId || (isReference(subject) ? '' : subject);
  const known = before !== '' && registrationId !== undefined;
  const differences = [
    changed('endpoint', endpoint, dps.globalEndpoint),
    changed('scope', scopeId, dps.scopeId),
    // the service compares registration ids without case
    known && before.toLowerCase() !== registrationId.toLowerCase()
      ? changed('registration id', before, registrationId)
      : '',
    before === '' && !known ? changed('certificate', subject, subjectOf(dps)) : '',
  ];
  return differences.filter((text) => text !== '').join(', ');
}

function changed(what: string, before: string, now: string): string {
  return before === now ? '' : `${what} ${quoted(before)}, now ${quoted(now)}`;
}

/** The registration id or, where a certificate names it, the certificate. */
function subjectOf({ registrationId, certificateId, certificateFile }: DpsSettings): string {
  const certificate = certificateFile ? `file://${certificateFile}` : `cert://${certificateId}`;
  return registrationId ?? certificate;
}

function isReference(subject: string): boolean {
  return /^(cert|file):\/\//.test(subject);
}

function partsOf(text: string): readonly string[] {
  try {
    const parts: unknown = JSON.parse(text);
    return Array.isArray(parts) ? parts.map(String) : [];
  } catch {
    // malformed, so it matches no settings
    return [];
  }
}
