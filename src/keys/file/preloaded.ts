import { createSecretKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import { ownerOf } from '../../service/state/state-file.ts';
import {
  type Algorithm,
  canHave,
  isPairAlgorithm,
  isRsa,
  ownUsage,
  type SymmetricAlgorithm,
  type Usage,
} from '../algorithm.ts';
import { isConsistent } from '../material/key-pair-check.ts';
import { fitsRaw, isEncrypted } from '../material/material.ts';
import { algorithmOf, parsePrivateKey, parsePrivatePem, spkiOf } from '../material/private-key.ts';
import type { KeyInfo } from '../store.ts';
import type { KeyFile } from './key.ts';

/** A file outside the state directory that the configuration names as a key. */
export interface PreloadedFile {
  readonly path: string;
  /** The configured usages. */
  readonly usages: readonly Usage[] | undefined;
}

/**
 * Reads a key from a file: a private key if the content has the structure of PEM or DER, otherwise raw bytes, of
 * aes-256 when the configured usage is to encrypt. Without a usable key it is unavailable, with the reason.
 */
export async function readPreloaded(id: KeyId, { path, usages }: PreloadedFile): Promise<KeyFile> {
  const unusable = (reason: string) => ({ info: unavailable(id, reason), key: undefined });
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    const code = systemCode(error) ?? 'unknown error';
    const owner = code === 'EACCES' ? `: ${await ownerOf(path)}` : '';
    return unusable(`${path} cannot be read: ${code}${owner}`);
  }
  try {
    const found = privateKeyIn(content) ?? secretKeyIn(content, usages);
    if (found === undefined) {
      const isSealed = isEncrypted(content) || content.includes('ENCRYPTED');
      const why = isSealed ? ': it is encrypted' : '';
      return unusable(`${path} holds no key that is offered${why}`);
    }
    if (found.key.type === 'private' && !isConsistent(found.key)) {
      return unusable(`${path} holds a private key whose parts do not belong together`);
    }
    if (found.key.type === 'private' && usages?.includes('derive')) {
      return unusable(`${path} holds a key pair, which cannot be a base key`);
    }
    return { info: describe(id, found, usages), key: found.key };
  } finally {
    content.fill(0);
  }
}

interface Found {
  readonly key: KeyObject;
  readonly algorithm: Algorithm;
}

function privateKeyIn(content: Buffer): Found | undefined {
  const key = content.includes('-----BEGIN ') ? parsePrivatePem(content) : parsePrivateKey(content);
  const algorithm = key && algorithmOf(key);
  return key === undefined || algorithm === undefined ? undefined : { key, algorithm };
}

function secretKeyIn(content: Buffer, usages: readonly Usage[] | undefined): Found | undefined {
  const algorithm: SymmetricAlgorithm = usages?.includes('encrypt') ? 'aes-256' : 'hmac-sha256';
  if (!fitsRaw(algorithm, content)) return undefined;
  return { key: createSecretKey(content), algorithm };
}

function describe(
  id: KeyId,
  { key, algorithm }: Found,
  usages: readonly Usage[] | undefined,
): KeyInfo {
  const isPair = isPairAlgorithm(algorithm);
  const whole: readonly Usage[] = isPair
    ? ['sign', ...(isRsa(algorithm) ? (['decrypt'] as const) : [])]
    : [ownUsage(algorithm)];
  return {
    ...blank(id),
    kind: isPair ? 'pair' : 'symmetric',
    algorithm,
    usages: usages?.filter((usage) => canHave(algorithm, usage)) ?? whole,
    spki: isPair ? spkiOf(key) : undefined,
  };
}

function unavailable(id: KeyId, reason: string): KeyInfo {
  return { ...blank(id), state: 'unavailable', reason };
}

function blank(id: KeyId): KeyInfo {
  return {
    id,
    kind: 'pair',
    algorithm: undefined,
    usages: [],
    store: 'file',
    origin: 'preloaded',
    exportable: false,
    exportDerived: false,
    state: 'ok',
    created: undefined,
    spki: undefined,
  };
}
