/**
 * The state of an enrolment as it is saved; times are milliseconds since the epoch. Former certificates are the list
 * `previous`, newest first, each with its chain, its key and `until`; versions that kept fewer wrote the same form.
 */
import { oneOf } from '../../errors.ts';
import { type KeyAlgorithm, keyAlgorithms } from '../../x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  reopenCertificatesPem,
} from '../../x509/certificate.ts';
import { type Profile, profiles } from '../config/certificate-rule.ts';
import type { Enrolment, Former, Issuance, PendingOrder, Successor } from './enrolment.ts';

type Fields = ReadonlyMap<string, unknown>;

const methods = ['none', 'self_signed', 'local_ca', 'est', 'command', 'external'] as const;

/** The fields of an enrolment in a file of state. */
export function formatEnrolment(enrolment: Enrolment): object {
  const { order, successor, previous, ownKeys, isDeleted } = enrolment;
  return {
    ...issuanceFields(enrolment),
    since: enrolment.since,
    order: order && formatOrder(order),
    successor: successor && { ...chainFields(successor), was_current: successor.wasCurrent },
    previous: previous.map((one) => ({ ...chainFields(one), until: one.until })),
    own_keys: ownKeys,
    deleted: isDeleted,
  };
}

/** Parses the fields of an enrolment; undefined without any, as in files of the first version. */
export function parseEnrolment(fields: Fields): Enrolment | undefined {
  if (!fields.has('method')) return undefined;
  const order = fields.get('order');
  const successor = fields.get('successor');
  return {
    ...parseIssuance(fields),
    since: numberIn(fields, 'since'),
    order: order === undefined ? undefined : parseOrder(fieldsOf(order)),
    successor: successor === undefined ? undefined : parseSuccessor(fieldsOf(successor)),
    previous: listIn(fields, 'previous').map((one) => parseFormer(fieldsOf(one))),
    ownKeys: listIn(fields, 'own_keys').map(String),
    isDeleted: fields.get('deleted') === true,
  };
}

/** The members of an object in a file; throws for anything else. */
export function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw new TypeError('it lacks a field');
  return new Map<string, unknown>(Object.entries(value));
}

/** A text in a file; throws when it is missing. */
export function textIn(fields: Fields, name: string): string {
  const value = fields.get(name);
  if (typeof value !== 'string') throw new TypeError('it lacks a field');
  return value;
}

/** A chain in a file, which is empty when there is no certificate yet. */
export function chainIn(fields: Fields, { mayBeEmpty = false } = {}): readonly Certificate[] {
  const pem = textIn(fields, 'chain_pem');
  return mayBeEmpty && pem === '' ? [] : reopenCertificatesPem(pem, 'its chain');
}

function issuanceFields({ method, profile, issuer, names }: Issuance): object {
  return { method, profile: profile ?? '', issuer, names };
}

function chainFields({ chain, keyId, ...issuance }: Successor | Former): object {
  return { key_id: keyId, chain_pem: encodeCertificatesPem(chain), ...issuanceFields(issuance) };
}

function formatOrder(order: PendingOrder): object {
  const { keyId, csr, template, spki, attempts, since, nextAttempt, reason, cookie } = order;
  return {
    ...issuanceFields(order),
    key_id: keyId,
    key_algorithms: order.keyAlgorithms,
    csr: csr?.toString('base64'),
    template: template?.toString('base64'),
    spki: spki?.toString('base64'),
    cookie,
    attempts,
    since,
    next_attempt: nextAttempt,
    reason,
    stuck: order.isStuck,
    requested: order.isRequested,
    rekeyed: order.isRekeyed,
    issuer_chain: order.issuerChain,
    settings: order.settings,
  };
}

function parseIssuance(fields: Fields): Issuance {
  const profile = textIn(fields, 'profile');
  const names = fields.get('names');
  return {
    method: oneOf(textIn(fields, 'method'), 'a method', methods),
    profile: profile === '' ? undefined : parseProfile(profile),
    issuer: textIn(fields, 'issuer'),
    ...(typeof names === 'string' && { names }),
  };
}

function parseProfile(text: string): Profile {
  return oneOf(text, 'a profile', profiles);
}

function parseSuccessor(fields: Fields): Successor {
  const wasCurrent = fields.get('was_current') === true;
  return { ...parseKeyedChain(fields), ...parseIssuance(fields), wasCurrent };
}

function parseFormer(fields: Fields): Former {
  const until = numberIn(fields, 'until');
  return { ...parseKeyedChain(fields), ...parseIssuance(fields), until };
}

function parseKeyedChain(fields: Fields) {
  return { chain: chainIn(fields), keyId: textIn(fields, 'key_id') };
}

function parseOrder(fields: Fields): PendingOrder {
  const issuance = parseIssuance(fields);
  const cookie = fields.get('cookie');
  const issuerChain = fields.get('issuer_chain');
  return {
    ...issuance,
    profile: parseProfile(textIn(fields, 'profile')),
    keyId: textIn(fields, 'key_id'),
    keyAlgorithms: algorithmsIn(fields),
    csr: bytesIn(fields, 'csr'),
    template: bytesIn(fields, 'template'),
    spki: bytesIn(fields, 'spki'),
    cookie: typeof cookie === 'string' ? cookie : undefined,
    attempts: numberIn(fields, 'attempts'),
    since: numberIn(fields, 'since'),
    nextAttempt: numberIn(fields, 'next_attempt'),
    reason: textIn(fields, 'reason'),
    isStuck: fields.get('stuck') === true,
    isRequested: fields.get('requested') === true,
    isRekeyed: fields.get('rekeyed') === true,
    issuerChain: typeof issuerChain === 'string' ? issuerChain : undefined,
    settings: textIn(fields, 'settings'),
  };
}

/** Those that are known; none in files of former versions. */
function algorithmsIn(fields: Fields): readonly KeyAlgorithm[] {
  const listed = fields.has('key_algorithms') ? listIn(fields, 'key_algorithms') : [];
  return keyAlgorithms.filter((one) => listed.includes(one));
}

function listIn(fields: Fields, name: string): readonly unknown[] {
  const value = fields.get(name);
  if (!Array.isArray(value)) throw new TypeError('it lacks a field');
  return value;
}

function numberIn(fields: Fields, name: string): number {
  const value = fields.get(name);
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError('it lacks a field');
  return value;
}

function bytesIn(fields: Fields, name: string): Buffer | undefined {
  const value = fields.get(name);
  return typeof value === 'string' ? Buffer.from(value, 'base64') : undefined;
}
