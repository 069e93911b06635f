import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { isId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { type CommandContext, type CommandOption, textOption, UsageError } from '../../command.ts';
import { Interrupt, InterruptedError } from '../../interrupt.ts';
import { passwordFileOption, readPassword } from '../../password/password.ts';
import { withTerminalAgent } from '../../terminal-agent.ts';
import { Certificates } from '../certificates.ts';
import type { KeyWithChain } from '../material/material.ts';
import { Keys } from './keys.ts';
import { replyTo } from './reply.ts';

/** The options that are about the key in a file. */
export const keyImportOptions: Readonly<Record<string, CommandOption>> = {
  ...passwordFileOption,
  'replace-key': { type: 'boolean', help: 'PKCS#12: in place of a key of that id, which is lost' },
  exportable: { type: 'boolean', help: 'PKCS#12: the key may be exported; it is kept in a file' },
};

/** A PKCS#12 file and the ids of its parts. */
interface Pkcs12Import {
  readonly id: string;
  readonly keyId: string;
  readonly data: Buffer;
  /** The file, for messages. */
  readonly what: string;
  /** So long after a signal a reply is waited for; by default 10 s. */
  readonly patienceMs?: number;
}

/** The id of the key of a certificate unless the command line has one. */
export function keyIdFor(id: string): string {
  const keyId = `iotedge/certificate/${id}`;
  if (isId(keyId)) return keyId;
  throw new UsageError(`${quoted(keyId)} is too long for the id of a key: add --key-id`);
}

/**
 * Imports the key of a file into the Keys service, then its certificates into the Certificates service, for the user.
 * When the second fails, or a signal comes before it, the key is deleted again, unless it has replaced another one, or
 * the certificate may still be stored. The data is wiped.
 */
export async function importPkcs12(context: CommandContext, file: Pkcs12Import): Promise<void> {
  const { id, keyId, data, what, patienceMs } = file;
  if (what === 'standard input' && textOption(context, 'password-file') === '-') {
    throw new UsageError('standard input is either the file or the password');
  }
  const certificates = await Certificates.connect(context);
  await assertImportable(certificates, context, id);
  using content = await contentOf(context, data, what);
  const keys = await Keys.connect(context);
  await withTerminalAgent(context, async () => {
    const isReplaced = context.options['replace-key'] === true && (await keys.has(keyId));
    using interrupt = new Interrupt(['SIGHUP', 'SIGINT', 'SIGTERM']);
    const waiting = {
      signal: interrupt.signal,
      note: context.note,
      ...(patienceMs !== undefined && { patienceMs }),
    };
    // only its reply says whether there is a key to delete, and that the key is not another one of that id
    await replyTo(
      importKey(keys, context, { keyId, key: content.key, isReplaced }),
      isReplaced
        ? `whether the key ${keyId} was replaced`
        : `whether there is a key ${keyId} now, which 'iotedgectl keys delete ${keyId}' deletes`,
      waiting,
    );
    let isSent = false;
    try {
      interrupt.signal.throwIfAborted();
      isSent = true;
      await replyTo(
        importChain(certificates, context, { id, keyId, chainPem: content.chainPem }),
        `whether there is a certificate ${id} now`,
        waiting,
      );
    } catch (error) {
      if (await isStored(certificates, { id, keyId, content })) return;
      if (isSent && error instanceof InterruptedError) {
        context.note(uncertain({ id, keyId, isReplaced }));
      } else await undo(keys, context, { keyId, isReplaced });
      throw error;
    }
  });
}

/** Fails before anything is asked where the import of the certificate would fail after that of the key. */
async function assertImportable(
  certificates: Certificates,
  { options }: Pick<CommandContext, 'options'>,
  id: string,
): Promise<void> {
  const found = await certificates.find(id);
  if (found?.isPreloaded === true) {
    throw new ServiceError('NotSupported', `the certificate "${id}" is preloaded`);
  }
  // a pending one has none yet
  if (found !== undefined && found.fingerprint !== '' && options['replace'] !== true) {
    throw new ServiceError('AlreadyExists', `there is a certificate "${id}": add --replace`);
  }
}

async function contentOf(
  context: CommandContext,
  data: Buffer,
  what: string,
): Promise<KeyWithChain> {
  using password = await readPassword(context, { question: `Password of ${what}: ` });
  const { keyWithChainIn } = await import('../material/material.ts');
  try {
    return keyWithChainIn(data, password.octets, what);
  } finally {
    data.fill(0); // keys may stand in it as they are
  }
}

async function importKey(
  keys: Keys,
  { options }: Pick<CommandContext, 'options'>,
  {
    keyId,
    key,
    isReplaced,
  }: { readonly keyId: string; readonly key: Buffer; readonly isReplaced: boolean },
): Promise<void> {
  const exportable = options['exportable'] === true;
  const request = {
    key_id: keyId,
    format: 'pkcs8',
    material: key,
    algorithm: '',
    usages: [],
    options: {
      if_exists: isReplaced ? 'replace' : 'fail',
      ...(exportable && { exportable, store: 'file' }), // a token exports none
    },
  };
  try {
    await keys.call((methods, callOptions) => methods.ImportKey(request, callOptions));
  } catch (error) {
    throw await explainedImport(keys, error, { keyId, isReplaced, exportable });
  }
}

/** A failed import of a key, with what to do about the key that is in its way. */
async function explainedImport(
  keys: Keys,
  error: unknown,
  {
    keyId,
    isReplaced,
    exportable,
  }: { readonly keyId: string; readonly isReplaced: boolean; readonly exportable: boolean },
): Promise<unknown> {
  if (isServiceError(error, 'AlreadyExists')) {
    const advice = 'add --key-id for another one, or --replace-key, which deletes it';
    const reason = `it stays when its certificate is deleted, until 'iotedgectl keys delete ${keyId}'`;
    return new ServiceError('AlreadyExists', `${describeError(error)}: ${advice}; ${reason}`);
  }
  const isElsewhere =
    isServiceError(error, 'NotSupported') &&
    exportable &&
    isReplaced &&
    (await inToken(keys, keyId));
  if (!isElsewhere) return error;
  const problem = `the key "${keyId}" is in a token, which exports none, and an exportable one is kept in a file`;
  const advice = `'iotedgectl keys delete ${keyId}' deletes it first, --key-id keeps it`;
  return new ServiceError('NotSupported', `${problem}: ${advice}`);
}

async function inToken(keys: Keys, keyId: string): Promise<boolean> {
  const found = await keys.find(keyId).catch(() => undefined); // the failure of the import is reported
  return found?.store === 'pkcs11' && found.origin !== 'preloaded';
}

async function importChain(
  certificates: Certificates,
  { options }: Pick<CommandContext, 'options'>,
  {
    id,
    keyId,
    chainPem,
  }: { readonly id: string; readonly keyId: string; readonly chainPem: string },
): Promise<void> {
  const request = {
    certificate_id: id,
    data: Buffer.from(chainPem),
    format: 'pem',
    options: {
      key_id: keyId,
      ...(options['replace'] === true && { if_exists: 'replace' }),
    },
  };
  await certificates.call((methods, callOptions) =>
    methods.ImportCertificate(request, callOptions),
  );
}

/** Whether a certificate was stored although its import failed, for instance because the reply was late. */
async function isStored(
  certificates: Certificates,
  {
    id,
    keyId,
    content,
  }: { readonly id: string; readonly keyId: string; readonly content: KeyWithChain },
): Promise<boolean> {
  const found = await certificates.find(id).catch(() => undefined); // the import's own failure is reported
  const fingerprint = found?.fingerprint.replaceAll(':', '').toLowerCase();
  return found?.keyId === keyId && fingerprint === content.fingerprint;
}

/** What is left when the reply to the import of a certificate did not come: without its key it would be of no use. */
function uncertain({
  id,
  keyId,
  isReplaced,
}: {
  readonly id: string;
  readonly keyId: string;
  readonly isReplaced: boolean;
}): string {
  const key = `the key ${keyId} was ${isReplaced ? 'replaced' : 'imported'} and stays`;
  const advice = `'iotedgectl keys delete ${keyId}' deletes it if 'iotedgectl certificates show ${id}' finds none`;
  return `${key}, as the certificate may still be stored: ${advice}`;
}

/** Deletes the key that was imported; where that fails, or another key was replaced, the user learns it. */
async function undo(
  keys: Keys,
  { note }: Pick<CommandContext, 'note'>,
  { keyId, isReplaced }: { readonly keyId: string; readonly isReplaced: boolean },
): Promise<void> {
  if (isReplaced) {
    note(`the key ${keyId} was replaced, its certificate was not`);
    return;
  }
  try {
    const request = { key_id: keyId, options: {} };
    await keys.call((methods, options) => methods.DeleteKey(request, options));
  } catch (error) {
    note(`the key ${keyId} was imported and cannot be deleted again: ${describeError(error)}`);
  }
}
