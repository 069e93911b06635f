import { type Extension, subjectAlternativeName } from '../../x509/extensions.ts';
import type { Order } from './issuer.ts';
import { extensionsOf, type ProfileRights } from './profile.ts';

/** The extensions of a certificate to be issued, below an issuer that allows so many CAs. */
export function issuedExtensions(
  { names, subjectDer }: Pick<Order, 'names' | 'subjectDer'>,
  rights: ProfileRights,
  room: number,
): readonly Extension[] {
  const critical = subjectDer.length === 2; // an empty SEQUENCE
  const alternativeNames = names.length === 0 ? [] : [subjectAlternativeName(names, { critical })];
  return [...extensionsOf(rights, room), ...alternativeNames];
}
