import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { type Command, exitCodes } from '../../command.ts';
import { configDirectory, directoryOption } from '../../config-directory.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { formatJson } from '../../output.ts';

/** `iotedgectl modules exec-command`. */
export const modulesExecCommand: Command = {
  words: 'modules exec-command',
  summary: "print the container engine's own command for a shell in a module",
  about: `It runs nothing. Who may run what it prints is decided by the engine: root and the group of its socket may.
$(iotedgectl modules exec-command NAME) at a prompt runs it; another command than sh can follow the name,
after -- when it has options.`,
  positionals: ['name'],
  more: 'command',
  options: directoryOption,
  async run(context) {
    const name = moduleName(context);
    const runtime = await Runtime.connect(context);
    const { state, type } = await runtime.require(name);
    if (type !== 'docker') {
      throw new ServiceError('NotSupported', `module ${quoted(name)} runs in no container`);
    }
    if (state !== 'running') {
      const start = `'iotedgectl modules start ${name}' starts it`;
      throw new ServiceError('Unavailable', `module ${quoted(name)} does not run: ${start}`);
    }
    const given = context.positionals.slice(1);
    const command = given.length > 0 ? given : ['sh'];
    const words = ['docker', '-H', await engineUri(context), 'exec', '-it', name, ...command];
    if (context.options['json'] === true) context.print(formatJson(words));
    else context.print(words.map(shellWord).join(' '));
    return exitCodes.ok;
  },
};

/** The address of the engine, which modules.yaml says. */
async function engineUri(context: Parameters<typeof configDirectory>[0]): Promise<string> {
  const check = await import('../../configuration/check.ts'); // other verbs start without it
  const { placed } = await check.checkConfigurations(configDirectory(context));
  if (placed.modules === undefined) {
    const advice = "'iotedgectl config check' says why";
    throw new ServiceError('Failed', `modules.yaml does not say where the engine is: ${advice}`);
  }
  return `unix://${placed.modules.config.engineSocket}`;
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
