import { idRule, isId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates } from '../../certificates/certificates.ts';
import { outputOption, writeOutput } from '../../certificates/output-file.ts';
import { type Command, exitCodes, textOption, UsageError } from '../../command.ts';

/** `iotedgectl certificates trust-bundle`. */
export const certificatesTrustBundle: Command = {
  words: 'certificates trust-bundle',
  summary: 'write the CA certificates that modules trust, in PEM',
  options: {
    id: {
      type: 'string',
      value: 'ID',
      help: 'the bundle of this id, in place of the configured one',
    },
    ...outputOption,
  },
  async run(context) {
    const id = textOption(context, 'id');
    if (id !== undefined && !isId(id)) {
      throw new UsageError(`${quoted(id)} is not the id of a certificate: ${idRule}`);
    }
    const certificates = await Certificates.connect(context);
    const { pem } = await certificates.call((methods, options) =>
      methods.GetTrustBundle({ options: id === undefined ? {} : { certificate_id: id } }, options),
    );
    await writeOutput(context, Buffer.from(pem));
    return exitCodes.ok;
  },
};
