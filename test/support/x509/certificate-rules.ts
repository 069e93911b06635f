/** The rules of RFC 5280 and of the RFCs of algorithms for what a CA writes, judged on DER alone. */
import { createHash } from 'node:crypto';
import { type DerValue, derTags, dottedOf, readStrictDer } from './strict-der.ts';

/** A certificate, split into its parts. */
export interface CertificateParts {
  readonly der: Buffer;
  readonly outer: readonly DerValue[];
  readonly version: DerValue;
  readonly serial: DerValue;
  readonly innerAlgorithm: DerValue;
  readonly issuer: DerValue;
  readonly times: readonly DerValue[];
  readonly subject: DerValue;
  readonly spki: DerValue;
  readonly extensions: ReadonlyMap<string, ExtensionParts>;
  readonly extensionCount: number;
}

interface ExtensionParts {
  readonly members: readonly DerValue[];
  readonly isCritical: boolean;
  readonly value: DerValue;
}

/** A rule: whether a certificate below its issuer obeys it. */
export interface CertificateRule {
  readonly section: string;
  readonly rule: string;
  readonly isObeyed: (certificate: CertificateParts, issuer: CertificateParts) => boolean;
}

/** Splits a certificate; throws when it is not DER or has other members. */
export function splitCertificate(der: Buffer): CertificateParts {
  const outer = readStrictDer(der).members;
  const [version, serial, innerAlgorithm, issuer, validity, subject, spki, tagged, ...others] =
    outer[0]?.members ?? [];
  if (!version || !serial || !innerAlgorithm || !issuer || !validity || !subject || !spki) {
    throw new Error('a member is missing');
  }
  if (tagged?.tag !== 0xa3 || others.length > 0) throw new Error('other members than extensions');
  const list = tagged.members[0]?.members ?? [];
  return {
    der,
    outer,
    version,
    serial,
    innerAlgorithm,
    issuer,
    subject,
    spki,
    times: validity.members,
    extensions: new Map(list.map(splitExtension)),
    extensionCount: list.length,
  };
}

function splitExtension({ members }: DerValue): readonly [string, ExtensionParts] {
  const [id, ...rest] = members;
  const value = rest.at(-1);
  if (id === undefined || value?.tag !== derTags.octetString) throw new Error('an extension');
  const isCritical = rest.length === 2 && rest[0]?.content.equals(Buffer.from([0xff])) === true;
  return [dottedOf(id), { members, isCritical, value: readStrictDer(value.content) }];
}

const ids = {
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  names: '2.5.29.17',
  constraints: '2.5.29.19',
  issuerKey: '2.5.29.35',
  purposes: '2.5.29.37',
} as const;
const keyCertSign = 0x04;

function extensionOf({ extensions }: CertificateParts, id: keyof typeof ids) {
  return extensions.get(ids[id]);
}

function isCa(certificate: CertificateParts): boolean {
  return extensionOf(certificate, 'constraints')?.value.members[0]?.tag === derTags.boolean;
}

/** The time of a UTCTime (two-digit years from 50 on are of the last century) or a GeneralizedTime. */
function timeOf({ tag, content }: DerValue): Date {
  const text = content.toString('latin1');
  const century = Number(text.slice(0, 2)) < 50 ? '20' : '19';
  const [year = '', ...rest] = (tag === derTags.utcTime ? century + text : text)
    .split(/(?<=^.{4})|(?<=^.{4}(?:..)+)(?=.)/)
    .filter((part) => part !== 'Z');
  const [month, day, hour, minute, second] = rest.map((part) => Number(part.slice(0, 2)));
  return new Date(Date.UTC(Number(year), (month ?? 0) - 1, day, hour, minute, second));
}

function isTime(value: DerValue): boolean {
  const text = value.content.toString('latin1');
  if (value.tag === derTags.utcTime) return /^\d{12}Z$/.test(text);
  return value.tag === derTags.generalizedTime && /^\d{14}Z$/.test(text) && text >= '2050';
}

function attributesOf(name: DerValue): readonly (readonly DerValue[])[] {
  return name.members.flatMap(({ members }) => members.map((attribute) => attribute.members));
}

/** C, serialNumber and dnQualifier are PrintableString; DC and emailAddress IA5String; the others UTF8String. */
function stringTagOf(type: DerValue): number {
  const id = dottedOf(type);
  if (['2.5.4.6', '2.5.4.5', '2.5.4.46'].includes(id)) return derTags.printableString;
  const isAscii = ['0.9.2342.19200300.100.1.25', '1.2.840.113549.1.9.1'].includes(id);
  return isAscii ? derTags.ia5String : derTags.utf8String;
}

function hasFittingParameters({ members: [id, parameters] }: DerValue): boolean {
  const isRsa = id !== undefined && dottedOf(id).startsWith('1.2.840.113549.1.1.');
  return isRsa ? parameters?.tag === derTags.null : parameters === undefined;
}

/** SHA-1 of the bits of the key, without the octet that counts unused bits. */
function keyHash({ spki }: CertificateParts): Buffer {
  const bits = spki.members[1]?.content.subarray(1) ?? Buffer.alloc(0);
  return createHash('sha1').update(bits).digest();
}

function usageBits(certificate: CertificateParts): number {
  return extensionOf(certificate, 'keyUsage')?.value.content[1] ?? 0;
}

function generalNameIsValid({ tag, content }: DerValue): boolean {
  const isAscii = content.every((octet) => octet >= 0x21 && octet < 0x7f);
  if (tag === 0x87) return content.length === 4 || content.length === 16;
  return (tag === 0x82 || tag === 0x86) && content.length > 0 && isAscii;
}

/** The table. */
export const certificateRules: readonly CertificateRule[] = [
  {
    section: '4.1.1.2',
    rule: 'the signature algorithm is the same inside and outside',
    isObeyed: ({ outer, innerAlgorithm }) => outer[1]?.bytes.equals(innerAlgorithm.bytes) === true,
  },
  {
    section: 'RFC 4055 5, 5758 3.2, 8410 3',
    rule: 'the algorithm has the parameter NULL for RSA, none for others',
    isObeyed: ({ innerAlgorithm }) => hasFittingParameters(innerAlgorithm),
  },
  {
    section: '4.1.2.1',
    rule: 'the version is 3',
    isObeyed: ({ version }) => version.bytes.equals(Buffer.from('a003020102', 'hex')),
  },
  {
    section: '4.1.2.2',
    rule: 'the serial number is positive, of at most 20 octets',
    isObeyed: ({ serial: { content } }) =>
      content.length <= 20 && content.readUInt8(0) < 0x80 && content.some((octet) => octet !== 0),
  },
  {
    section: '4.1.2.4',
    rule: 'the issuer is not empty, and has the octets of the subject of the issuer',
    isObeyed: ({ issuer }, { subject }) =>
      issuer.content.length > 0 && issuer.bytes.equals(subject.bytes),
  },
  {
    section: '4.1.2.4',
    rule: 'names have the string types of their attributes, and no empty value',
    isObeyed: ({ subject }) =>
      attributesOf(subject).every(
        ([type, value]) =>
          type !== undefined && value?.tag === stringTagOf(type) && value.content.length > 0,
      ),
  },
  {
    section: '4.1.2.5',
    rule: 'times are UTCTime through 2049 and GeneralizedTime from 2050 on, in seconds and Z',
    isObeyed: ({ times }) => times.length === 2 && times.every(isTime),
  },
  {
    section: '4.1.2.5',
    rule: 'the validity is not empty, and within that of the issuer',
    isObeyed: ({ times: [from, to] }, { times: [issuerFrom, issuerTo] }) => {
      if (!from || !to || !issuerFrom || !issuerTo) return false;
      const [begin, end] = [timeOf(from), timeOf(to)];
      return begin < end && begin >= timeOf(issuerFrom) && end <= timeOf(issuerTo);
    },
  },
  {
    section: '4.1.2.6',
    rule: 'the subject of a CA is not empty',
    isObeyed: (certificate) => !isCa(certificate) || certificate.subject.content.length > 0,
  },
  {
    section: '4.2',
    rule: 'each extension is there once, and only a flag that is TRUE is written',
    isObeyed: ({ extensions, extensionCount }) =>
      extensions.size === extensionCount &&
      [...extensions.values()].every(({ members, isCritical }) =>
        isCritical ? members.length === 3 : members.length === 2,
      ),
  },
  {
    section: '4.2.1.1',
    rule: 'the authority key identifier is that of the issuer, and not critical',
    isObeyed: (certificate, issuer) => {
      const [own, other] = [
        extensionOf(certificate, 'issuerKey'),
        extensionOf(issuer, 'subjectKey'),
      ];
      const [identifier] = own?.value.members ?? [];
      const isEqual = identifier && other && identifier.content.equals(other.value.content);
      return identifier?.tag === 0x80 && isEqual === true && own?.isCritical === false;
    },
  },
  {
    section: '4.2.1.2',
    rule: 'the subject key identifier is the SHA-1 of the key, and not critical',
    isObeyed: (certificate) => {
      const own = extensionOf(certificate, 'subjectKey');
      return own?.isCritical === false && own.value.content.equals(keyHash(certificate));
    },
  },
  {
    section: '4.2.1.3',
    rule: 'the key usage is critical, not empty, and of as few bits as possible',
    isObeyed: (certificate) => {
      const own = extensionOf(certificate, 'keyUsage');
      const [unused = 0, bits = 0] = own?.value.content ?? [];
      const isMinimal = (bits & (1 << unused)) !== 0;
      return own?.isCritical === true && own.value.content.length === 2 && isMinimal;
    },
  },
  {
    section: '4.2.1.3',
    rule: 'keyCertSign is the right of CAs, and of no others',
    isObeyed: (certificate) => ((usageBits(certificate) & keyCertSign) !== 0) === isCa(certificate),
  },
  {
    section: '4.2.1.6',
    rule: 'alternative names are not empty, and critical where the subject is',
    isObeyed: (certificate) => {
      const isEmpty = certificate.subject.content.length === 0;
      const own = extensionOf(certificate, 'names');
      if (own === undefined) return !isEmpty;
      const { members } = own.value;
      return members.length > 0 && members.every(generalNameIsValid) && own.isCritical === isEmpty;
    },
  },
  {
    section: '4.2.1.9',
    rule: 'the basic constraints are critical, and state no default',
    isObeyed: (certificate) => {
      const own = extensionOf(certificate, 'constraints');
      const [flag, ...rest] = own?.value.members ?? [];
      const isPlain = flag === undefined || flag.content.equals(Buffer.from([0xff]));
      return own?.isCritical === true && isPlain && rest.length <= 1;
    },
  },
  {
    section: '4.2.1.9',
    rule: 'the path length is below that of the issuer',
    isObeyed: (certificate, issuer) => {
      if (!isCa(certificate) || certificate.der.equals(issuer.der)) return true;
      const lengthOf = (one: CertificateParts) =>
        extensionOf(one, 'constraints')?.value.members[1]?.content[0] ?? 255;
      return lengthOf(certificate) < lengthOf(issuer);
    },
  },
  {
    section: '4.2.1.12',
    rule: 'leaves have one purpose, CAs have none',
    isObeyed: (certificate) => {
      const own = extensionOf(certificate, 'purposes');
      return isCa(certificate) ? own === undefined : own?.value.members.length === 1;
    },
  },
];

/** The rules that a certificate violates, each as `section: rule`; what is no DER violates the first one. */
export function violations(der: Buffer, issuerDer: Buffer): readonly string[] {
  let parts: readonly [CertificateParts, CertificateParts];
  try {
    parts = [splitCertificate(der), splitCertificate(issuerDer)];
  } catch (error) {
    return [`4.1: ${error instanceof Error ? error.message : String(error)}`];
  }
  return certificateRules
    .filter(({ isObeyed }) => !isObeyed(...parts))
    .map(({ section, rule }) => `${section}: ${rule}`);
}
