import { type Command, exitCodes } from '../../command.ts';
import { LogOutput } from '../../modules/log/log-output.ts';
import { logOptions, logRequest } from '../../modules/log/log-request.ts';
import { inPieces, writeLog } from '../../modules/log/write-log.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl modules logs`. */
export const modulesLogs: Command = {
  words: 'modules logs',
  summary: 'show what a module wrote to its standard output and error',
  about: `With --json one object a line: {line}, or with -t {time, line}. At a terminal characters that would move its
cursor are replaced, and colours stay; a program gets the bytes as the module wrote them.`,
  positionals: ['name'],
  options: { ...logOptions, ...passwordOption },
  async run(context) {
    const name = moduleName(context);
    const request = logRequest(context, new Date());
    const runtime = await Runtime.connect(context);
    const output = new LogOutput({
      isTerminal: process.stdout.isTTY,
      isJson: context.options['json'] === true,
      hasTimes: request.timestamps,
    });
    const { log } = await withTerminalAgent(context, () =>
      runtime.call((methods, options) => methods.GetLogs({ name, options: request }, options)),
    );
    await writeLog(inPieces(log), output, process.stdout);
    return exitCodes.ok;
  },
};
