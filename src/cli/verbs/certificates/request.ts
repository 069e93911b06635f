import { isServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { carryOut, waitingOptions } from '../../certificates/operation.ts';
import { requestRule } from '../../certificates/request-rule.ts';
import { type Command, type CommandContext, textOption } from '../../command.ts';
import { configDirectory, directoryOption } from '../../config-directory.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl certificates request`. */
export const certificatesRequest: Command = {
  words: 'certificates request',
  summary:
    'get a certificate by its rule in certificates.yaml, which the service renews from then on',
  about: `The service makes the key, which stays in the Keys service, and has the issuer of the rule sign it; names, key
and issuer are the rule's. A certificate that there is already stays. One that is not issued now is asked for again
by the service until it is deleted. Without a rule it is a client certificate for CN=ID from the device CA, and a
warning says so.`,
  positionals: ['id'],
  options: {
    issuer: { type: 'string', value: 'NAME', help: 'the issuer, of those that the rule allows' },
    'new-key': {
      type: 'boolean',
      help: 'get another certificate for a new key, also where there is one',
    },
    ...waitingOptions,
    ...directoryOption,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    await warnWithoutRule(context, id);
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

/** A mistyped id has no rule, and is issued by the defaults. Files that this user cannot read warn of nothing. */
async function warnWithoutRule(context: CommandContext, id: string): Promise<void> {
  if (id.startsWith('iotedge/')) return; // the services' own need none
  let dir: string;
  try {
    dir = configDirectory(context);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return;
  }
  try {
    await requestRule(dir, id);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    if (!isServiceError(error, 'NotFound')) return;
    const problem = `certificates.yaml in ${dir} has no rule for ${quoted(id)}`;
    context.note(`warning: ${problem}: it is requested by the defaults`);
  }
}
