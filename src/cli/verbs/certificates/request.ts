import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { carryOut, waitingOptions } from '../../certificates/operation.ts';
import { type Command, textOption } from '../../command.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl certificates request`. */
export const certificatesRequest: Command = {
  words: 'certificates request',
  summary:
    'get a certificate by its rule in certificates.yaml, which the service renews from then on',
  about: `The service makes the key, which stays in the Keys service, and has the issuer of the rule sign it; names, key
and issuer are the rule's. A certificate that there is already stays. One that is not issued now is asked for again
by the service until it is deleted.`,
  positionals: ['id'],
  options: {
    issuer: { type: 'string', value: 'NAME', help: 'the issuer, of those that the rule allows' },
    'new-key': {
      type: 'boolean',
      help: 'get another certificate for a new key, also where there is one',
    },
    ...waitingOptions,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const named = textOption(context, 'issuer');
    const issuer = named === undefined ? {} : { issuer: named };
    const newKey = context.options['new-key'] === true ? { rotate_key: true } : {};
    return carryOut(await Certificates.connect(context), context, {
      verb: 'Enroll',
      id,
      begin: (methods, options) =>
        methods.Enroll(
          { certificate_id: id, options: { wait: false, ...issuer, ...newKey } },
          options,
        ),
    });
  },
};
