import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError } from '../../../errors.ts';
import { idGlobMatches } from '../../../glob.ts';
import { type CertificateId, parseCertificateId } from '../../../ids.ts';
import {
  assertUnitDirectory,
  presentUnits,
  removeUnits,
  watchedServers,
  writeWatch,
} from '../../certificates/watch-files.ts';
import {
  parseServiceUnit,
  reloadsDirectory,
  type WatchUnits,
  watchName,
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
const recordDirectory = join('/var/lib', reloadsDirectory);

/** `iotedgectl certificates watch`. */
export const certificatesWatch: Command = {
  words: 'certificates watch',
  summary: 'have a server reloaded whenever a published certificate is replaced',
  about: `Writes a path unit, an hourly timer and the service that both start, enables them and starts them. The service
reloads the server (systemctl try-reload-or-restart) unless it has read the present files already. The rule of the
certificate needs 'publish: true' in certificates.yaml. --remove undoes it: the units are disabled, stopped and removed,
those for the --reload units, or all for the certificate; files that this command has not written stay.`,
  positionals: ['CERTIFICATE'],
  options: {
    reload: {
      type: 'string',
      multiple: true,
      value: 'UNIT',
      help: 'the service unit to reload; may be given more than once',
    },
    remove: { type: 'boolean', help: 'end it: disable, stop and remove the units' },
    'unit-dir': {
      type: 'string',
      value: 'DIR',
      help: 'only write or remove the units, there; nothing is enabled, started or stopped',
    },
    ...directoryOption,
  },
  async run(context) {
    const [name = ''] = context.positionals;
    const id = parseCertificateId(name);
    const servers = textsOption(context, 'reload').map(parseServiceUnit);
    const given = textOption(context, 'unit-dir');
    if (given === undefined) requireRoot('iotedgectl certificates watch');
    assertUnitDirectory(given ?? unitDirectory);
    if (context.options['remove'] === true) return remove(id, servers, context);
    if (servers.length === 0) throw new UsageError('certificates watch needs --reload UNIT');
    const systemd = given === undefined ? await systemdOf(context) : undefined;
    if (systemd !== undefined) await requireUnits(systemd, servers);
    const publishDir = await publishedIn(id, context);
    const all = servers.map((reload) => watchUnits({ id, reload, publishDir }));
    for (const units of all) {
      for (const path of writeWatch(units, given ?? unitDirectory))
        context.print(`${path}: written`);
    }
    return systemd === undefined ? exitCodes.ok : activate(systemd, { all, servers }, context);
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
    const problem = `certificates.yaml does not publish "${id}": its rule needs 'publish: true'`;
    context.note(`warning: ${problem}`);
  }
  return certificates.config.publish_dir;
}

/** Ends watches: those of the servers, or all on the certificate. */
async function remove(
  id: CertificateId,
  servers: readonly string[],
  context: CommandContext,
): Promise<number> {
  const given = textOption(context, 'unit-dir');
  const directory = given ?? unitDirectory;
  const chosen = servers.length > 0 ? servers : watchedServers(id, directory);
  if (chosen.length === 0) throw new ServiceError('NotFound', `there is no watch on "${id}"`);
  // all are checked before the first is removed
  const units = chosen.flatMap((reload) => presentUnits({ id, reload }, directory));
  if (given === undefined) {
    const systemd = await systemdOf(context);
    await systemd.disable(units.filter((unit) => !unit.endsWith('.service')));
    for (const unit of units) {
      const result = await systemd.job('StopUnit', unit);
      if (result !== 'done')
        throw new ServiceError('Unavailable', `${unit} was not stopped (${result})`);
    }
    removeUnits(units, directory);
    for (const unit of units) await systemd.resetFailed(unit);
    await systemd.reload();
    for (const reload of chosen)
      rmSync(join(recordDirectory, watchName(id, reload)), { force: true });
  } else removeUnits(units, directory);
  for (const unit of units) context.print(`${join(directory, unit)}: removed`);
  return exitCodes.ok;
}

async function systemdOf({ bus }: CommandContext): Promise<Systemd> {
  return Systemd.require(await bus(), { interactive: true });
}

/** NotFound for a unit that systemd does not know. */
async function requireUnits(systemd: Systemd, units: readonly string[]): Promise<void> {
  for (const unit of units) {
    if ((await systemd.unit(unit)).get('LoadState') !== 'not-found') continue;
    throw new ServiceError('NotFound', `there is no unit ${unit}`);
  }
}

interface Watches {
  readonly all: readonly WatchUnits[];
  readonly servers: readonly string[];
}

async function activate(
  systemd: Systemd,
  { all, servers }: Watches,
  { note, print }: CommandContext,
): Promise<number> {
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
