/**
 * The file of a key: a header of one line of JSON, then the key as raw bytes or DER PKCS#8. The bytes are not part of
 * the JSON because they are wiped from memory after use, which is impossible for a string.
 */
import { createSecretKey, hash, type KeyObject } from 'node:crypto';
import type { KeyId } from '../../ids.ts';
import { checkVersion, DamagedFile, formatStateJson } from '../../service/state/state-file.ts';
import {
  type Algorithm,
  isPairAlgorithm,
  isSymmetricAlgorithm,
  parsePairUsages,
  parseSymmetricUsages,
  type Usage,
} from '../algorithm.ts';
import { hasRawLength } from '../material/material.ts';
import { algorithmOf, parsePrivateKey, spkiOf } from '../material/private-key.ts';
import type { KeyInfo, Origin } from '../store.ts';
import type { KeyFile } from './key.ts';

/** The header of a new key file. */
export interface KeyFileHeader {
  readonly id: KeyId;
  readonly algorithm: Algorithm;
  readonly usages: readonly Usage[];
  readonly origin: 'generated' | 'imported';
  readonly exportable: boolean;
  readonly exportDerived: boolean;
  readonly created: Date;
}

/** Formats the content of a file; the caller wipes it, and the material. */
export function formatKeyFile(header: KeyFileHeader, material: Buffer): Buffer {
  const json = formatStateJson({
    id: header.id,
    algorithm: header.algorithm,
    usages: header.usages,
    origin: header.origin,
    exportable: header.exportable,
    export_derived: header.exportDerived,
    created: header.created.toISOString(),
    bytes: material.length,
    checksum: checksum(material),
  });
  return Buffer.concat([Buffer.from(json), material]);
}

/** Parses a key file. `UnusableFile` for a newer version, `DamagedFile` unless it is complete and has that id. */
export function parseKeyFile(path: string, id: KeyId, content: Buffer): KeyFile {
  const end = content.indexOf('\n');
  if (end < 0) throw new DamagedFile(path, 'it is empty or truncated');
  const material = content.subarray(end + 1);
  try {
    const json: unknown = JSON.parse(content.toString('utf8', 0, end));
    const fields = new Map<string, unknown>(Object.entries(json ?? {}));
    checkVersion(path, fields.get('version'));
    if (fields.get('version') !== 1) throw new TypeError('its version is not known');
    if (fields.get('id') !== id) throw new TypeError('it is of another key');
    if (fields.get('bytes') !== material.length) throw new TypeError('it is truncated');
    if (fields.get('checksum') !== checksum(material)) throw new TypeError('its bytes changed');
    return keyOf(id, fields, material);
  } catch (error) {
    if (error instanceof DamagedFile) throw error;
    // the message of a SyntaxError quotes the file, which holds a key
    const isSafe = error instanceof Error && !(error instanceof SyntaxError);
    throw new DamagedFile(path, isSafe ? error.message : 'it is not a key file');
  }
}

function keyOf(id: KeyId, fields: ReadonlyMap<string, unknown>, material: Buffer): KeyFile {
  const algorithm = parseAlgorithm(fields.get('algorithm'));
  const read = readMaterial(algorithm, material);
  if (read === undefined) throw new TypeError(`it holds no key of ${algorithm}`);
  const info: KeyInfo = {
    id,
    kind: isPairAlgorithm(algorithm) ? 'pair' : 'symmetric',
    algorithm,
    usages: parseUsages(algorithm, fields.get('usages')),
    store: 'file',
    origin: parseOrigin(fields.get('origin')),
    exportable: fields.get('exportable') === true,
    exportDerived: fields.get('export_derived') === true,
    state: 'ok',
    created: parseTime(fields.get('created')),
    spki: read.spki,
  };
  return { info, key: read.key };
}

/** Parses a key; undefined when the bytes are not a key of the algorithm. */
function readMaterial(
  algorithm: Algorithm,
  material: Buffer,
): { readonly key: KeyObject; readonly spki: Buffer | undefined } | undefined {
  if (isSymmetricAlgorithm(algorithm)) {
    if (!hasRawLength(algorithm, material)) return undefined;
    return { key: createSecretKey(material), spki: undefined };
  }
  const key = parsePrivateKey(material);
  if (key === undefined || algorithmOf(key) !== algorithm) return undefined;
  return { key, spki: spkiOf(key) };
}

function parseAlgorithm(value: unknown): Algorithm {
  const text = String(value);
  if (isPairAlgorithm(text) || isSymmetricAlgorithm(text)) return text;
  throw new TypeError('its algorithm is not known');
}

function parseUsages(algorithm: Algorithm, value: unknown): readonly Usage[] {
  if (!Array.isArray(value) || value.length === 0) throw new TypeError('it has no usages');
  const texts = value.map(String);
  if (isSymmetricAlgorithm(algorithm)) return parseSymmetricUsages(algorithm, texts);
  return parsePairUsages(texts);
}

function parseOrigin(value: unknown): Origin {
  if (value === 'generated' || value === 'imported') return value;
  throw new TypeError('its origin is not known');
}

function parseTime(value: unknown): Date {
  const time = new Date(String(value));
  if (Number.isNaN(time.getTime())) throw new TypeError('it does not say when it was made');
  return time;
}

/** Detects damage, not tampering, which can replace the checksum as well. */
function checksum(material: Buffer): string {
  return hash('sha256', material, 'hex');
}
