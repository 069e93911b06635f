import { isServiceError } from '../../../errors.ts';
import type { CertificateView } from '../../certificates/certificate-view.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { Keys } from '../../certificates/pkcs12/keys.ts';
import { type Command, type CommandContext, exitCodes } from '../../command.ts';
import { confirm, yesOption } from '../../confirm.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates delete`. */
export const certificatesDelete: Command = {
  words: 'certificates delete',
  summary: 'delete a certificate, and the keys that were made for it',
  about: `Keys that the service made for it are deleted with it; a key of another origin, such as that of an imported
PKCS#12 file, stays until 'keys delete'. A request that the issuer has not decided on ends, too. Preloaded certificates are not deleted here: certificates.yaml names their files.`,
  positionals: ['id'],
  options: { ...yesOption, ...passwordOption },
  async run(context) {
    const id = certificateId(context);
    const certificates = await Certificates.connect(context);
    const certificate = await certificates.require(id); // before anything is asked
    const isOwn = certificate.keyId.startsWith('iotedge/certificate/') && isIssued(certificate);
    await confirm(context, `This deletes the certificate ${id}${isOwn ? ' and its key' : ''}.`);
    await withTerminalAgent(context, () =>
      certificates.call((methods, options) =>
        methods.DeleteCertificate({ certificate_id: id, options: {} }, options),
      ),
    );
    if (context.options['json'] !== true) context.print(`${id}: deleted`);
    if (!isIssued(certificate)) await noteKey(context, certificate.keyId);
    return exitCodes.ok;
  },
};

/** Whether the service has ordered it; then it deletes the keys that it has made for that. */
function isIssued({ method, isPreloaded }: CertificateView): boolean {
  return !isPreloaded && method !== 'none' && method !== 'external';
}

/** Notes the key that an imported certificate leaves. */
async function noteKey(context: CommandContext, keyId: string): Promise<void> {
  if (keyId === '') return;
  try {
    const key = await (await Keys.connect(context)).find(keyId);
    if (key === undefined || key.origin === 'preloaded') return;
  } catch (error) {
    if (!isServiceError(error)) throw error; // the certificate is deleted, whatever the Keys service replies
  }
  context.note(
    `its key ${keyId} stays in the Keys service: 'iotedgectl keys delete ${keyId}' deletes it`,
  );
}
