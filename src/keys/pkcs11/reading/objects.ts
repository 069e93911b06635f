import type { Algorithm, Usage } from '../../algorithm.ts';
import type { ObjectSelector } from '../../config/pkcs11-uri.ts';
import { ulong } from '../library/slots.ts';
import { CKA, CKK, CKO } from '../protocol/constants.ts';
import type { Handle, Template } from '../protocol/values.ts';
import type { ProofReading } from './proofs.ts';
import { candidatesOf } from './public-halves.ts';
import type { ObjectView } from './token-view.ts';

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
  view: ObjectView,
  selector: ObjectSelector,
  proofs: ProofReading,
): readonly KeyObject[] {
  return findKeys(view, selector).map((name) =>
    name.kind === 'pair' ? readPrivate(view, name, proofs) : readSecret(view, name),
  );
}

/** As `readKeys`, but only their names. */
export function findKeys(view: ObjectView, selector: ObjectSelector): readonly KeyName[] {
  const criteria: Template = [
    { type: CKA.TOKEN, value: true },
    ...(selector.object === undefined ? [] : [{ type: CKA.LABEL, value: selector.object }]),
    ...(selector.id === undefined ? [] : [{ type: CKA.ID, value: selector.id }]),
  ];
  const wanted = (type: string) => selector.type === undefined || selector.type === type;
  const find = (value: number) => view.find([{ type: CKA.CLASS, value }, ...criteria]);
  return [
    ...(wanted('private') ? find(CKO.PRIVATE_KEY) : []).map((key) => readName(view, key, 'pair')),
    ...(wanted('secret-key') ? find(CKO.SECRET_KEY) : []).map((key) =>
      readName(view, key, 'symmetric'),
    ),
  ];
}

/** Finds all objects of a key, public ones last. Both label and CKA_ID must match, which excludes other keys. */
export function findAll(
  view: ObjectView,
  { label, ckaId }: { readonly label: string; readonly ckaId: Buffer },
): readonly Handle[] {
  const keys = findKeys(view, { object: label }).filter((key) => key.ckaId.equals(ckaId));
  const publics = view
    .find([...publicKeyObjects, { type: CKA.LABEL, value: label }])
    .filter((handle) => (view.attribute(handle, CKA.ID) ?? Buffer.alloc(0)).equals(ckaId));
  return [...keys.map(({ handle }) => handle), ...publics];
}

function readPrivate(view: ObjectView, name: KeyName, proofs: ProofReading): KeyObject {
  const { handle } = name;
  const usages: Usage[] = [];
  if (flag(view, handle, CKA.SIGN)) usages.push('sign');
  if (flag(view, handle, CKA.DECRYPT)) usages.push('decrypt');
  const alwaysAuthenticate = flag(view, handle, CKA.ALWAYS_AUTHENTICATE);
  const { half, problem } = proofs.choose(
    { ...name, alwaysAuthenticate },
    candidatesOf(view, name),
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

function readSecret(view: ObjectView, name: KeyName): KeyObject {
  const { handle, keyType } = name;
  const length = ulong(view.attribute(handle, CKA.VALUE_LEN) ?? Buffer.alloc(0));
  const isAes = keyType === CKK.AES && length === 32;
  const isMac = keyType === CKK.GENERIC_SECRET || keyType === CKK.SHA256_HMAC;
  const usages: Usage[] = [];
  if (isAes && flag(view, handle, CKA.ENCRYPT)) usages.push('encrypt');
  if (isMac && flag(view, handle, CKA.SIGN)) usages.push('sign');
  const algorithm = isAes ? 'aes-256' : isMac ? 'hmac-sha256' : undefined;
  return { ...name, algorithm, usages, spki: undefined, alwaysAuthenticate: false };
}

function readName(view: ObjectView, handle: Handle, kind: KeyName['kind']): KeyName {
  const read = (type: number) => view.attribute(handle, type) ?? Buffer.alloc(0);
  return {
    handle,
    kind,
    label: read(CKA.LABEL).toString('utf8'),
    ckaId: read(CKA.ID),
    keyType: ulong(read(CKA.KEY_TYPE)),
  };
}

function flag(view: ObjectView, handle: Handle, type: number): boolean {
  const value = view.attribute(handle, type);
  return value !== undefined && value.length > 0 && value[0] !== 0;
}
