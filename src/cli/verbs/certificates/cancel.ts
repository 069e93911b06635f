import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { type Command, exitCodes } from '../../command.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates cancel`. */
export const certificatesCancel: Command = {
  words: 'certificates cancel',
  summary: 'cancel the request or renewal that is in progress for a certificate',
  about: `Between two attempts none is in progress: 'certificates delete' ends a first request for good.`,
  positionals: ['id'],
  options: passwordOption,
  async run(context) {
    const id = certificateId(context);
    const certificates = await Certificates.connect(context);
    await withTerminalAgent(context, () =>
      certificates.call((methods, options) => methods.Cancel({ id, options: {} }, options)),
    );
    if (context.options['json'] !== true) context.print(`${id}: cancelled`);
    return exitCodes.ok;
  },
};
