import { isServiceError, ServiceError } from '../../../errors.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { outputOption, writeOutput } from '../../certificates/output-file.ts';
import { Keys } from '../../certificates/pkcs12/keys.ts';
import { type RequestRule, requestRule } from '../../certificates/request-rule.ts';
import { type Command, type CommandContext, exitCodes } from '../../command.ts';
import { configDirectory, directoryOption } from '../../config-directory.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates csr`. */
export const certificatesCsr: Command = {
  words: 'certificates csr',
  summary: 'print a certificate signing request (PKCS#10), for a CA that is reached by mail',
  about: `Names and key are those of the rule for the id in certificates.yaml; the key is that of the certificate where there
is one. The Keys service signs, for you: that needs the right to sign with the key, and to create it where it does not
exist yet. What the CA answers is stored by 'certificates import ID FILE --replace'. A rule with 'method: external'
keeps the service from ordering the certificate itself.`,
  positionals: ['id'],
  options: {
    'create-key': { type: 'boolean', help: 'create the key when it does not exist' },
    ...outputOption,
    ...directoryOption,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const rule = await requestRule(configDirectory(context), id);
    const certificates = await Certificates.connect(context);
    const current = await certificates.find(id);
    const keyId = current?.keyId || rule.keyId;
    const pem = await withTerminalAgent(context, () => signedRequest(context, rule, keyId));
    await writeOutput(context, Buffer.from(pem));
    context.note(`the key is ${keyId}; the answer is imported with --key-id ${keyId}`);
    if (context.options['create-key'] === true) {
      context.note(
        `the key stays when no answer comes: 'iotedgectl keys delete ${keyId}' deletes it`,
      );
    }
    return exitCodes.ok;
  },
};

async function signedRequest(
  context: CommandContext,
  rule: RequestRule,
  key_id: string,
): Promise<string> {
  const keys = await Keys.connect(context);
  const { certificateRequest } = await import('../../certificates/material/material.ts');
  try {
    if (context.options['create-key'] === true) {
      const algorithms = [...rule.keyAlgorithms];
      const options = { if_exists: 'keep' };
      const request = { key_id, algorithms, usages: ['sign'], options };
      await keys.call((methods, callOptions) => methods.CreateKeyPair(request, callOptions));
    }
    const { spki } = await keys.call((methods, options) =>
      methods.GetPublicKey({ key_id, options: {} }, options),
    );
    return await certificateRequest({ ...rule, spki }, async (mechanism, data, public_key) => {
      const request = { key_id, mechanism, data, options: { public_key } };
      return (await keys.call((methods, options) => methods.Sign(request, options))).signature;
    });
  } catch (error) {
    if (isServiceError(error, 'NotFound')) {
      throw new ServiceError('NotFound', `${error.message}: --create-key creates it`);
    }
    throw error;
  }
}
