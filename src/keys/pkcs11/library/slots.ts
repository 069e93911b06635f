import { ServiceError } from '../../../errors.ts';
import { formatUri, type TokenSelector } from '../../config/pkcs11-uri.ts';
import { CKF } from '../protocol/constants.ts';
import type { TokenSlot } from '../protocol/operations.ts';

/** Finds the token that a URI selects; Unavailable unless exactly one matches. */
export function findToken(tokens: readonly TokenSlot[], selector: TokenSelector): TokenSlot {
  const matching = tokens.filter((token) => isSelected(token, selector));
  const initialized = matching.filter(isInitialized);
  // SoftHSM and others list one more slot, for creating the next token
  const [token, ...others] = initialized.length > 0 ? initialized : matching;
  if (token === undefined) {
    const advice = `is it there, and may uid ${process.geteuid?.()} use it`;
    throw new ServiceError('Unavailable', `no token matches ${formatUri(selector)}: ${advice}?`);
  }
  if (others.length > 0 && isInitialized(token)) {
    const count = others.length + 1;
    throw new ServiceError('Unavailable', `${count} tokens match ${formatUri(selector)}`);
  }
  if (!isInitialized(token)) {
    throw new ServiceError('Unavailable', `the token of ${formatUri(selector)} is not initialized`);
  }
  return token;
}

/** Decodes a CK_ULONG as pkcs11js returns it: as wide as a pointer of the machine. */
export function ulong(bytes: Buffer): number {
  return bytes.length === 0 ? -1 : bytes.readUIntLE(0, Math.min(bytes.length, 6));
}

/** Removes the padding of a fixed-length field. */
export function unpadded(text: string): string {
  return text.replace(/[ \0]+$/, '');
}

function isInitialized({ info }: TokenSlot): boolean {
  return (info.flags & CKF.TOKEN_INITIALIZED) !== 0;
}

/** Whether a selector matches a token. */
export function isSelected({ slot, info }: TokenSlot, selector: TokenSelector): boolean {
  const is = (wanted: string | undefined, found: string) =>
    wanted === undefined || unpadded(found) === wanted;
  return (
    (selector.slotId === undefined || ulong(slot) === selector.slotId) &&
    is(selector.token, info.label) &&
    is(selector.serial, info.serialNumber) &&
    is(selector.manufacturer, info.manufacturerID) &&
    is(selector.model, info.model)
  );
}
