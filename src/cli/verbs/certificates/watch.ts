import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError, systemCode } from '../../../errors.ts';
import { idGlobMatches } from '../../../glob.ts';
import { type CertificateId, parseCertificateId } from '../../../ids.ts';
import {
  parseServiceUnit,
  type WatchUnits,
  watchHeader,
  watchUnits,
} from '../../certificates/watch-units.ts';
import {
  type Command,
  type CommandContext,
  exitCodes,
  textOption,
  textsOption,
  UsageError,
} from '../../command.ts';
import { configDirectory, directoryOption, requireRoot } from '../../config-directory.ts';
import { Systemd } from '../../systemd/manager.ts';

const unitDirectory = '/etc/systemd/system';

/** `iotedgectl certificates watch`. */
export const certificatesWatch: Command = {
  words: 'certificates watch',
  summary: 'have a server reloaded whenever a published certificate is replaced',
  about: `Writes a path unit, an hourly timer and the service that both start, enables them and starts them. The service
reloads the server (systemctl try-reload-or-restart) unless it has read the present files already. The rule of the
certificate needs 'publish: true' in certificates.yaml. To undo it, disable the path unit and the timer with
'systemctl disable --now', and remove the three files.`,
  positionals: ['CERTIFICATE'],
  options: {
    reload: {
      type: 'string',
      multiple: true,
      value: 'UNIT',
      help: 'the service unit to reload; may be given more than once',
    },
    'unit-dir': {
      type: 'string',
      value: 'DIR',
      help: 'only write the units, there; nothing is enabled or started',
    },
    ...directoryOption,
  },
  async run(context) {
    const [name = ''] = context.positionals;
    const id = parseCertificateId(name);
    const servers = textsOption(context, 'reload').map(parseServiceUnit);
    if (servers.length === 0) throw new UsageError('certificates watch needs --reload UNIT');
    const given = textOption(context, 'unit-dir');
    if (given === undefined) requireRoot('iotedgectl certificates watch');
    const publishDir = await publishedIn(id, context);
    const all = servers.map((reload) => watchUnits({ id, reload, publishDir }));
    for (const units of all) write(units, given ?? unitDirectory, context);
    return given === undefined ? activate(all, servers, context) : exitCodes.ok;
  },
};

/** The directory of published certificates; notes a certificate that is not among them. */
async function publishedIn(id: CertificateId, context: CommandContext): Promise<string> {
  const check = await import('../../configuration/check.ts'); // other verbs start without it
  const { placed } = await check.checkConfigurations(configDirectory(context));
  const { certificates } = placed;
  if (certificates === undefined) {
    const problem =
      "certificates.yaml names the directory, and is wrong: 'iotedgectl config check'";
    throw new ServiceError('Failed', problem);
  }
  const rules = Object.entries(certificates.config.certificates);
  const isPublished = rules.some(
    ([glob, { publish }]) => publish === true && idGlobMatches(glob, id),
  );
  if (!isPublished) {
    context.note(`certificates.yaml does not publish "${id}": its rule needs 'publish: true'`);
  }
  return certificates.config.publish_dir;
}

/** Writes the files that differ; AlreadyExists for one that has another author. */
function write(
  { files }: WatchUnits,
  directory: string,
  { print }: Pick<CommandContext, 'print'>,
): void {
  for (const [file, text] of files) {
    const path = join(directory, file);
    const present = contentOf(path);
    if (present === text) continue;
    if (present?.startsWith(watchHeader) === false) {
      throw new ServiceError('AlreadyExists', `${path} is another author's, or masks the unit`);
    }
    const temporary = join(directory, `.${file}.new`);
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
    print(`${path}: written`);
  }
}

/** The content of a file; undefined when there is none, `` for anything but a file. */
function contentOf(path: string): string | undefined {
  try {
    return lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '';
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function activate(
  all: readonly WatchUnits[],
  servers: readonly string[],
  { bus, note, print }: CommandContext,
): Promise<number> {
  const systemd = await Systemd.require(await bus(), { interactive: true });
  await systemd.reload();
  const started = all.flatMap(({ name }) => [`${name}.path`, `${name}.timer`]);
  await systemd.enable(started);
  for (const unit of started) {
    const result = await systemd.job('StartUnit', unit);
    if (result !== 'done')
      throw new ServiceError('Unavailable', `${unit} was not started (${result})`);
    print(`${unit}: enabled and started`);
  }
  let code: number = exitCodes.ok;
  for (const [at, { name }] of all.entries()) {
    if ((await systemd.job('StartUnit', `${name}.service`)) === 'done') continue;
    note(`${servers[at]} was not reloaded: systemctl status ${name}.service`);
    code = exitCodes.failed;
  }
  return code;
}
