import { ServiceError } from '../../errors.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { raw } from '../../x509/der/asn1.ts';
import { elementsIn, firstElement, type Tlv } from '../../x509/der/tlv.ts';
import { type Extension, extensionOids } from '../../x509/extensions.ts';
import { decodeName, spelledParts } from '../../x509/name.ts';

/** OID of the extension NameConstraints. */
export const nameConstraintsOid = '2.5.29.30';

/** One constraint: the tag of its kind of name, and whether a name is in the subtree. */
interface Subtree {
  readonly tag: number;
  readonly contains: (name: Constrained) => boolean;
}

/** A name of a certificate that constraints apply to. */
interface Constrained {
  readonly tag: number;
  readonly content: Buffer;
  /** Of a DNS name, and of a URI: it is `` for one without a host. */
  readonly host?: string;
  /** Of a directory name. */
  readonly parts?: readonly string[];
}

const tags = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87 } as const;
const fieldTags = { permitted: 0xa0, excluded: 0xa1 } as const;
const what = 'name constraints';
/** More than any CA has, and than any path has names for them. */
const maxSubtrees = 1024;
const maxNames = 1024;
const maxComparisons = 1 << 16;
/** A CA can be on many paths. */
const parsed = new WeakMap<Certificate, NameConstraints>();

/** The names that a CA may issue for (RFC 5280 4.2.1.10). */
export class NameConstraints {
  readonly #permitted: readonly Subtree[];
  readonly #excluded: readonly Subtree[];

  private constructor(permitted: readonly Subtree[], excluded: readonly Subtree[]) {
    this.#permitted = permitted;
    this.#excluded = excluded;
  }

  /** Those of a CA, undefined when it has none; InvalidArgs when the extension is malformed or too large. */
  static of(ca: Certificate): NameConstraints | undefined {
    const extension = ca.extensions.find(({ oid }) => oid === nameConstraintsOid);
    if (extension === undefined) return undefined;
    const constraints = parsed.get(ca) ?? NameConstraints.#parse(extension);
    parsed.set(ca, constraints);
    return constraints;
  }

  static #parse({ value }: Extension): NameConstraints {
    const whole = firstElement(value);
    if (whole?.tag !== 0x30 || whole.bytes.length !== value.length) return malformed();
    const fields = [...elementsIn(whole.content)];
    const subtreesOf = (wanted: number): readonly Subtree[] => {
      const field = fields.find(({ tag }) => tag === wanted);
      if (field === undefined) return [];
      const isExcluded = wanted === fieldTags.excluded;
      const subtrees = [...elementsIn(field.content)];
      if (subtrees.length > maxSubtrees) throw tooMany();
      return subtrees.map((subtree) => parseSubtree(subtree, isExcluded));
    };
    return new NameConstraints(subtreesOf(fieldTags.permitted), subtreesOf(fieldTags.excluded));
  }

  /** Why one of these certificates may not be below the CA, undefined when all may; InvalidArgs when they have too many names. */
  problemOf(certificates: readonly Certificate[]): string | undefined {
    const subtrees = this.#permitted.length + this.#excluded.length;
    let left = Math.min(maxNames, maxComparisons / subtrees);
    for (const certificate of certificates) {
      const names = namesOf(certificate);
      left -= names.length;
      if (left < 0) throw tooMany();
      const name = names.find((one) => !this.#allows(one));
      if (name !== undefined) {
        return `has name constraints that exclude a name of ${JSON.stringify(certificate.subjectText)}: ${textOf(name)}`;
      }
    }
    return undefined;
  }

  #allows(name: Constrained): boolean {
    const permitted = this.#permitted.filter(({ tag }) => tag === name.tag);
    const excluded = this.#excluded.filter(({ tag }) => tag === name.tag);
    if (excluded.some(({ contains }) => contains(name))) return false;
    return permitted.length === 0 || permitted.some(({ contains }) => contains(name));
  }
}

/** The subject, its email addresses and the alternative names. */
function namesOf({ subject, subjectDer, extensions }: Certificate): readonly Constrained[] {
  const extension = extensions.find(({ oid }) => oid === extensionOids.subjectAlternativeName);
  const list = extension === undefined ? undefined : firstElement(extension.value);
  const alternative = list === undefined ? [] : [...elementsIn(list.content)];
  const emails = subject.flat().filter(({ type }) => type === 'emailAddress');
  return [
    ...(subject.length === 0
      ? []
      : [{ tag: tags.directory, content: subjectDer, parts: spelledParts(subject) }]),
    ...emails.map(({ value }) => ({ tag: tags.email, content: Buffer.from(value) })),
    ...alternative.map(alternativeName),
  ];
}

function alternativeName({ tag, content }: Tlv): Constrained {
  if (tag === tags.dns) return { tag, content, host: hostText(content) };
  return tag === tags.uri ? { tag, content, host: hostOf(content) } : { tag, content };
}

/**
 * A kind of name that is not processed here, email addresses among them, may not appear below the CA at all when it is
 * constrained (RFC 5280 4.2.1.10).
 */
function parseSubtree(subtree: Tlv, isExcluded: boolean): Subtree {
  const base = firstElement(subtree.content);
  if (base === undefined) return malformed();
  const { tag, content } = base;
  switch (tag) {
    case tags.dns: {
      const suffix = content.toString('latin1').toLowerCase();
      return { tag, contains: ({ host = '' }) => isHostWithin(host, suffix) };
    }
    case tags.uri: {
      const suffix = content.toString('latin1').toLowerCase();
      // a URI without a host is excluded by any constraint (RFC 5280 4.2.1.10)
      const contains = ({ host = '' }: Constrained): boolean =>
        host === '' ? isExcluded : isHostOfUriWithin(host, suffix);
      return { tag, contains };
    }
    case tags.ip:
      if (content.length !== 8 && content.length !== 32) return malformed();
      return { tag, contains: (one) => isAddressWithin(one.content, content) };
    case tags.directory: {
      const prefix = spelledParts(decodeName(raw(content)));
      const contains = ({ parts }: Constrained): boolean =>
        parts !== undefined && prefix.every((part, at) => part === parts[at]);
      return { tag, contains };
    }
    default:
      return { tag, contains: () => isExcluded };
  }
}

function hostText(content: Buffer): string {
  return content.toString('latin1').toLowerCase().replace(/\.$/, '');
}

/** Whether a DNS name is the constraint or below it; an empty constraint contains all. */
function isHostWithin(host: string, constraint: string): boolean {
  if (constraint === '') return true;
  const suffix = constraint.startsWith('.') ? constraint : `.${constraint}`;
  return host === constraint || host.endsWith(suffix);
}

/** Whether the host of a URI is the constraint or, with a leading dot, below it. */
function isHostOfUriWithin(host: string, constraint: string): boolean {
  return constraint.startsWith('.') ? host.endsWith(constraint) : host === constraint;
}

/** The host of a URI, `` when it has none. */
function hostOf(uri: Buffer): string {
  const text = uri.toString('latin1');
  return URL.canParse(text) ? new URL(text).hostname.toLowerCase() : '';
}

/** Whether an address is within `address/mask`. */
function isAddressWithin(address: Buffer, constraint: Buffer): boolean {
  const length = constraint.length / 2;
  if (address.length !== length) return false;
  return address.every((byte, at) => {
    const mask = constraint[length + at] ?? 0;
    return (byte & mask) === ((constraint[at] ?? 0) & mask);
  });
}

function textOf({ content, parts }: Constrained): string {
  if (parts !== undefined) return 'its subject';
  return JSON.stringify(content.toString('latin1').slice(0, 200));
}

function malformed(): never {
  throw new ServiceError('InvalidArgs', `${what} are malformed`);
}

function tooMany(): ServiceError {
  return new ServiceError('InvalidArgs', `there are too many ${what}, or names below them`);
}
