import { parseKeyId } from '../../../src/ids.ts';
import type { KeyInfo } from '../../../src/keys/store.ts';

/** A key pair in a file. */
export const pair: KeyInfo = {
  id: parseKeyId('pair'),
  kind: 'pair',
  algorithm: 'ec-p256',
  usages: ['sign'],
  store: 'file',
  origin: 'generated',
  exportable: true,
  exportDerived: false,
  state: 'ok',
  created: new Date(1_700_000_000_123),
  spki: Buffer.alloc(1),
};
/** A second key pair. */
export const other: KeyInfo = {
  ...pair,
  id: parseKeyId('other'),
  exportable: false,
  created: undefined,
};
/** A key pair whose file is damaged. */
export const damaged: KeyInfo = {
  ...pair,
  id: parseKeyId('broken'),
  state: 'damaged',
  reason: 'it is truncated',
};
