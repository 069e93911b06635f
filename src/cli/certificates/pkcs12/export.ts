import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { type CommandContext, textOption, UsageError } from '../../command.ts';
import { readPassword } from '../../password/password.ts';
import { withTerminalAgent } from '../../terminal-agent.ts';
import type { Certificates } from '../certificates.ts';
import { writeOutput } from '../output-file.ts';
import { Keys } from './keys.ts';

/** Writes a certificate with its chain and its key, as far as the Keys service exports it to the user, as PKCS#12. */
export async function exportPkcs12(
  context: CommandContext,
  certificates: Certificates,
  id: string,
): Promise<void> {
  if (textOption(context, 'output') === undefined) {
    throw new UsageError('PKCS#12 holds the private key: add --output FILE');
  }
  const { certificate } = await certificates.call((methods, options) =>
    methods.GetCertificate({ certificate_id: id, options: {} }, options),
  );
  const { chain_pem: chainPem, key_id: keyId } = certificate;
  if (keyId === '') throw new ServiceError('NotFound', `the certificate "${id}" has no key here`);
  const keys = await Keys.connect(context);
  const key = await withTerminalAgent(context, () => exportedKey(keys, keyId));
  try {
    const name = id;
    using password = await readPassword(context, { question: 'New password: ', isNew: true });
    if (password.octets.length === 0) throw new UsageError('the password is empty');
    const { pkcs12Of } = await import('../material/material.ts');
    await writeOutput(context, pkcs12Of({ key, chainPem, name }, password.octets), 0o600);
  } finally {
    key.fill(0);
  }
}

async function exportedKey(keys: Keys, keyId: string): Promise<Buffer> {
  try {
    const request = { key_id: keyId, format: 'pkcs8', options: {} };
    const { material } = await keys.call((methods, options) => methods.ExportKey(request, options));
    return Buffer.from(material.buffer, material.byteOffset, material.length);
  } catch (error) {
    if (!isServiceError(error, 'NotSupported')) throw error;
    throw new ServiceError('NotSupported', `the key ${keyId} stays here: ${describeError(error)}`);
  }
}
