import type { Bus } from '../../dbus/bus.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { idRule, isId } from '../../ids.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { quoted } from '../../quoted.ts';
import { Keys } from '../certificates/pkcs12/keys.ts';
import { type Command, exitCodes, UsageError } from '../command.ts';
import { confirm, yesOption } from '../confirm.ts';
import { describeService, textOf } from '../description.ts';
import { passwordOption, withTerminalAgent } from '../terminal-agent.ts';

/** `iotedgectl keys delete`. */
export const keysDelete: Command = {
  words: 'keys delete',
  summary: 'delete a key',
  about: `What was signed with it stays valid; what was encrypted with it is lost. Where a certificate has the key, the question
says so. Preloaded keys are not deleted here: keys.yaml names them.`,
  positionals: ['id'],
  options: { ...yesOption, ...passwordOption },
  async run(context) {
    const [id = ''] = context.positionals;
    if (!isId(id)) throw new UsageError(`${quoted(id)} is not the id of a key: ${idRule}`);
    const keys = await Keys.connect(context);
    if ((await keys.find(id)) === undefined) throw notFound(`no key ${quoted(id)}`); // before anything is asked
    const users = (await certificatesOf(id, await context.bus())).map(quoted).join(', ');
    const use = users === '' ? '' : `, which belongs to the certificate ${users}`;
    await confirm(context, `This deletes the key ${id}${use}.`);
    try {
      await withTerminalAgent(context, () =>
        keys.call((methods, options) => methods.DeleteKey({ key_id: id, options: {} }, options)),
      );
    } catch (error) {
      throw isServiceError(error, 'NotFound') ? notFound(describeError(error)) : error;
    }
    if (context.options['json'] !== true) context.print(`${id}: deleted`);
    return exitCodes.ok;
  },
};

function notFound(problem: string): ServiceError {
  return new ServiceError('NotFound', `${problem}: 'iotedgectl keys list' shows what there is`);
}

/** The certificates that have a key; none where the Certificates service cannot be called. */
async function certificatesOf(keyId: string, bus: Bus): Promise<readonly string[]> {
  try {
    const { objects } = await describeService(bus, certificatesService);
    return Object.keys(objects).filter((id) => textOf(objects[id]?.['KeyId']) === keyId);
  } catch (error) {
    if (isServiceError(error)) return [];
    throw error;
  }
}
