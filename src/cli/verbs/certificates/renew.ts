import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { carryOut, waitingOptions } from '../../certificates/operation.ts';
import { type Command, UsageError } from '../../command.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl certificates renew`. */
export const certificatesRenew: Command = {
  words: 'certificates renew',
  summary: 'renew a certificate now, also one whose renewal is stuck',
  about: `Whether it gets a new key says key_policy of its rule. The former certificate and its key can still be used for
24 hours, so nothing needs to be restarted at once.`,
  positionals: ['id'],
  options: {
    'new-key': { type: 'boolean', help: 'for a new key, whatever the rule says' },
    'same-key': { type: 'boolean', help: 'for the key that it has, whatever the rule says' },
    ...waitingOptions,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const { 'new-key': isNew, 'same-key': isSame } = context.options;
    if (isNew === true && isSame === true) {
      throw new UsageError('certificates renew: --new-key and --same-key exclude each other');
    }
    const rotate = isNew === true || isSame === true ? { rotate_key: isNew === true } : {};
    return carryOut(await Certificates.connect(context), context, {
      verb: 'Renew',
      id,
      begin: (methods, options) =>
        methods.Renew({ certificate_id: id, options: { wait: false, ...rotate } }, options),
    });
  },
};
