import type { Handle, Template } from 'pkcs11js';
import type { Algorithm, Usage } from '../algorithm.ts';
import type { ObjectSelector } from '../config/pkcs11-uri.ts';
import { CKA, CKK, CKO } from './library/constants.ts';
import type { Session } from './library/session.ts';
import { ulong } from './library/slots.ts';
import type { Proofs } from './proofs.ts';
import { candidatesOf } from './public-halves.ts';

/** A private or secret key in a token, as its attributes describe it. */
export interface KeyObject {
  readonly handle: Handle;
  readonly kind: 'pair' | 'symmetric';
  readonly label: string;
  readonly ckaId: Buffer;
  readonly keyType: number;
  /** Undefined for a kind of key that the service does not offer. */
  readonly algorithm: Algorithm | undefined;
  readonly usages: readonly Usage[];
  /** The public half of a pair, undefined when none is proven to belong to it. */
  readonly spki: Buffer | undefined;
  /** Why a pair has no public half. */
  readonly problem?: string | undefined;
  /** Whether each operation requires another login. */
  readonly alwaysAuthenticate: boolean;
}

const publicKeyObjects: Template = [
  { type: CKA.CLASS, value: CKO.PUBLIC_KEY },
  { type: CKA.TOKEN, value: true },
];

/** The identifying attributes of a private or secret key. */
export interface KeyName {
  readonly handle: Handle;
  readonly kind: 'pair' | 'symmetric';
  readonly label: string;
  readonly ckaId: Buffer;
  readonly keyType: number;
}

/** Reads the private and secret keys of the token that a selector matches. */
export function readKeys(
  session: Session,
  selector: ObjectSelector,
  proofs: Proofs,
): readonly KeyObject[] {
  return findKeys(session, selector).map((name) =>
    name.kind === 'pair' ? readPrivate(session, name, proofs) : readSecret(session, name),
  );
}

/** As `readKeys`, but only their names. */
export function findKeys(session: Session, selector: ObjectSelector): readonly KeyName[] {
  const criteria: Template = [
    { type: CKA.TOKEN, value: true },
    ...(selector.object === undefined ? [] : [{ type: CKA.LABEL, value: selector.object }]),
    ...(selector.id === undefined ? [] : [{ type: CKA.ID, value: selector.id }]),
  ];
  const wanted = (type: string) => selector.type === undefined || selector.type === type;
  const find = (value: number) => session.find([{ type: CKA.CLASS, value }, ...criteria]);
  return [
    ...(wanted('private') ? find(CKO.PRIVATE_KEY) : []).map((key) =>
      readName(session, key, 'pair'),
    ),
    ...(wanted('secret-key') ? find(CKO.SECRET_KEY) : []).map((key) =>
      readName(session, key, 'symmetric'),
    ),
  ];
}

/** Finds all objects of a key, public ones last. Both label and CKA_ID must match, which excludes other keys. */
export function findAll(
  session: Session,
  { label, ckaId }: { readonly label: string; readonly ckaId: Buffer },
): readonly Handle[] {
  const keys = findKeys(session, { object: label }).filter((key) => key.ckaId.equals(ckaId));
  const publics = session
    .find([...publicKeyObjects, { type: CKA.LABEL, value: label }])
    .filter((handle) => (session.attribute(handle, CKA.ID) ?? Buffer.alloc(0)).equals(ckaId));
  return [...keys.map(({ handle }) => handle), ...publics];
}

function readPrivate(session: Session, name: KeyName, proofs: Proofs): KeyObject {
  const { handle } = name;
  const usages: Usage[] = [];
  if (flag(session, handle, CKA.SIGN)) usages.push('sign');
  if (flag(session, handle, CKA.DECRYPT)) usages.push('decrypt');
  const alwaysAuthenticate = flag(session, handle, CKA.ALWAYS_AUTHENTICATE);
  const { half, problem } = proofs.choose(
    { ...name, alwaysAuthenticate },
    candidatesOf(session, name),
  );
  return {
    ...name,
    algorithm: half?.algorithm,
    usages: half?.algorithm.startsWith('rsa-')
      ? usages
      : usages.filter((usage) => usage === 'sign'),
    spki: half?.spki,
    problem,
    alwaysAuthenticate,
  };
}

function readSecret(session: Session, name: KeyName): KeyObject {
  const { handle, keyType } = name;
  const length = ulong(session.attribute(handle, CKA.VALUE_LEN) ?? Buffer.alloc(0));
  const isAes = keyType === CKK.AES && length === 32;
  const isMac = keyType === CKK.GENERIC_SECRET || keyType === CKK.SHA256_HMAC;
  const usages: Usage[] = [];
  if (isAes && flag(session, handle, CKA.ENCRYPT)) usages.push('encrypt');
  if (isMac && flag(session, handle, CKA.SIGN)) usages.push('sign');
  const algorithm = isAes ? 'aes-256' : isMac ? 'hmac-sha256' : undefined;
  return { ...name, algorithm, usages, spki: undefined, alwaysAuthenticate: false };
}

function readName(session: Session, handle: Handle, kind: KeyName['kind']): KeyName {
  const [label, ckaId, keyType] = session.attributes(handle, [CKA.LABEL, CKA.ID, CKA.KEY_TYPE]);
  return {
    handle,
    kind,
    label: (label ?? Buffer.alloc(0)).toString('utf8'),
    ckaId: ckaId ?? Buffer.alloc(0),
    keyType: ulong(keyType ?? Buffer.alloc(0)),
  };
}

function flag(session: Session, handle: Handle, type: number): boolean {
  const value = session.attribute(handle, type);
  return value !== undefined && value.length > 0 && value[0] !== 0;
}
