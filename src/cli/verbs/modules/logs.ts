import { type Command, exitCodes } from '../../command.ts';
import { Interrupt } from '../../interrupt.ts';
import { assertRunEnded } from '../../modules/log/early-end.ts';
import { LogOutput } from '../../modules/log/log-output.ts';
import { logOptions, logRequest, logTimeNotes } from '../../modules/log/log-request.ts';
import { logFrom } from '../../modules/log/log-socket.ts';
import { writeLog } from '../../modules/log/write-log.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl modules logs`. */
export const modulesLogs: Command = {
  words: 'modules logs',
  summary: 'show what a module wrote to its standard output and error',
  about: `Both are one text, in the order in which the engine has them. With --json one object a line: {line}, or with -t
{time, line}. At a terminal characters that would move its cursor are replaced, and colours stay; a program gets the
bytes as the module wrote them.`,
  positionals: ['name'],
  options: { ...logOptions, ...passwordOption },
  async run(context) {
    const name = moduleName(context);
    const request = logRequest(context, new Date());
    for (const note of logTimeNotes(context)) context.note(note);
    const runtime = await Runtime.connect(context);
    const output = new LogOutput({
      isTerminal: process.stdout.isTTY,
      isJson: context.options['json'] === true,
      hasTimes: request.timestamps,
    });
    const isFollowed = request.follow && context.options['until'] === undefined;
    const before = isFollowed ? await runtime.find(name) : undefined;
    const { path } = await withTerminalAgent(context, () =>
      runtime.call((methods, options) => methods.OpenLog({ name, options: request }, options)),
    );
    using interrupt = new Interrupt(); // the usual end of --follow
    const isRead = await writeLog(logFrom(path, interrupt.signal), output, process.stdout);
    if (isRead && before !== undefined && !interrupt.signal.aborted) {
      await assertRunEnded(runtime, before);
    }
    return exitCodes.ok;
  },
};
