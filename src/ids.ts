import { ServiceError } from './errors.ts';
import { isMeantAsPkcs11Uri, quoted } from './quoted.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Name of a key in the Keys service. Not safe as a file name. */
export type KeyId = Brand<string, 'KeyId'>;
/** Name of a certificate in the Certificates service. Not safe as a file name. */
export type CertificateId = Brand<string, 'CertificateId'>;
/** Name of a module identity, as the cloud spells it (`$edgeAgent`). */
export type ModuleId = Brand<string, 'ModuleId'>;
/** Name of a module in the runtime (`edgeAgent`). */
export type ModuleName = Brand<string, 'ModuleName'>;

const idPattern = /^[A-Za-z0-9$][A-Za-z0-9._$/:@-]{0,127}$/;
const modulePattern = /^[A-Za-z0-9$][A-Za-z0-9._$:-]{0,127}$/;

/** Whether a text is an id of a key or certificate: 1-128 characters, no empty, `.` or `..` segment. */
export function isId(text: string): boolean {
  if (!idPattern.test(text)) return false;
  return text.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** Whether a text is a module name: an id without `/` and `@`. */
export function isModuleName(text: string): boolean {
  return modulePattern.test(text) && text !== '.' && text !== '..';
}

const begins = 'the first a letter, a digit or $';
/** The syntax of key and certificate ids, for messages and documentation. */
export const idRule = `1 to 128 letters, digits and . _ $ / : @ -, ${begins}, with no empty, "." or ".." between slashes`;
/** The syntax of module names and ids, for messages and documentation. */
export const moduleRule = `1 to 128 letters, digits and . _ $ : -, ${begins}`;

function refuse(text: string, what: string, rule: string): never {
  throw new ServiceError('InvalidArgs', `${quoted(text)} is not a ${what}, which is ${rule}`);
}

/** Throws InvalidArgs for a text that is not a key id. */
export function parseKeyId(text: string): KeyId {
  return isId(text) ? (text as KeyId) : refuse(text, 'key id', idRule);
}

/** Throws InvalidArgs for a text that is not a certificate id. */
export function parseCertificateId(text: string): CertificateId {
  return isId(text) ? (text as CertificateId) : refuse(text, 'certificate id', idRule);
}

/** Throws InvalidArgs for a text that is not a module id. */
export function parseModuleId(text: string): ModuleId {
  return isModuleName(text) ? (text as ModuleId) : refuse(text, 'module id', moduleRule);
}

/** Throws InvalidArgs for a text that is not a module name. */
export function parseModuleName(text: string): ModuleName {
  return isModuleName(text) ? (text as ModuleName) : refuse(text, 'module name', moduleRule);
}

/** The parsers of the kinds of names in the interface tables. */
export const nameParsers = {
  'key-id': parseKeyId,
  'certificate-id': parseCertificateId,
  'module-id': parseModuleId,
  'module-name': parseModuleName,
} as const;

/** The kinds of references in a configuration, by scheme. */
const references = {
  key: { what: 'key id', token: 'a PKCS#11 URI is for keys.yaml', file: 'keys.yaml' },
  cert: {
    what: 'certificate id',
    token: 'a PKCS#11 URI names no certificate',
    file: 'certificates.yaml',
  },
} as const;

/** The type of the id in a reference, by scheme. */
interface ReferencedIds {
  readonly key: KeyId;
  readonly cert: CertificateId;
}

/**
 * Parses a reference in a configuration: `key://<id>` or `cert://<id>` by the scheme, or a bare id. Throws InvalidArgs
 * for anything else; only keys.yaml may name a key of a token or the file of a private key.
 */
export function parseReference<S extends keyof ReferencedIds>(
  text: string,
  scheme: S,
): ReferencedIds[S] {
  const { what, token, file } = references[scheme];
  const prefix = `${scheme}://`;
  if (isMeantAsPkcs11Uri(text)) {
    const reason = `${token}: preload it in ${file}, write ${prefix}<id>`;
    throw new ServiceError('InvalidArgs', reason);
  }
  const isFile = text.startsWith('/') || (scheme === 'key' && /^\s*file:/i.test(text));
  if (isFile) {
    const why = scheme === 'key' ? ', but only the Keys service reads private keys' : '';
    const reason = `${quoted(text)} names a file${why}`;
    throw new ServiceError('InvalidArgs', `${reason}: preload it in ${file}, write ${prefix}<id>`);
  }
  const id = text.startsWith(prefix) ? text.slice(prefix.length) : text;
  return isId(id) ? (id as ReferencedIds[S]) : refuse(text, what, idRule);
}

/** `$edgeAgent` for the module `edgeAgent`, `$edgeHub` for `edgeHub`; every other name is its own id. */
export function moduleIdOf(name: ModuleName): ModuleId {
  const system = name === 'edgeAgent' || name === 'edgeHub';
  return (system ? `$${name}` : name) as string as ModuleId;
}

/** The name a module has in the runtime: its id without a leading `$`. */
export function moduleNameOf(id: ModuleId): ModuleName {
  return parseModuleName(id.replace(/^\$/, ''));
}

/** The prefix of the services' own ids. */
export const reservedPrefix = 'iotedge/';
