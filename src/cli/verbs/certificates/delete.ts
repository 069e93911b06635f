import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { type Command, exitCodes } from '../../command.ts';
import { confirm, yesOption } from '../../confirm.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates delete`. */
export const certificatesDelete: Command = {
  words: 'certificates delete',
  summary: 'delete a certificate, and the keys that were made for it',
  about: `Keys that the service made for it are deleted with it; a key of another origin stays. A request that the issuer
has not decided on ends, too. Preloaded certificates are not deleted here: certificates.yaml names their files.`,
  positionals: ['id'],
  options: { ...yesOption, ...passwordOption },
  async run(context) {
    const id = certificateId(context);
    const certificates = await Certificates.connect(context);
    const { keyId, isPreloaded } = await certificates.require(id); // before anything is asked
    const isOwn = keyId.startsWith('iotedge/certificate/') && !isPreloaded;
    await confirm(context, `This deletes the certificate ${id}${isOwn ? ' and its key' : ''}.`);
    await withTerminalAgent(context, () =>
      certificates.call((methods, options) =>
        methods.DeleteCertificate({ certificate_id: id, options: {} }, options),
      ),
    );
    if (context.options['json'] !== true) context.print(`${id}: deleted`);
    return exitCodes.ok;
  },
};
