import type { Check } from '../checks/check-result.ts';
import { configurationCheck } from '../checks/configuration-check.ts';
import { serviceChecks } from '../checks/service-checks.ts';
import { type Command, exitCodes } from '../command.ts';
import { directoryOption } from '../config-directory.ts';
import { formatJson, printable } from '../output.ts';

/** `iotedgectl check`. */
export const check: Command = {
  words: 'check',
  summary: 'whether this device is in order, and what to do where it is not',
  about: `The configuration, the four services, which are started for it, and the certificates: whether one expires soon or
a renewal is stuck. Each line is ok, warning or error, with what is checked and the outcome; what was found and what to
do stand below it. With --json the form is that of 'iotedge check -o json'. The exit code is 6 when something is not ok.`,
  options: directoryOption,
  async run(context) {
    const connection = await context.bus();
    const found = [
      await configurationCheck(context),
      ...(await serviceChecks(connection, new Date())),
    ];
    if (context.options['json'] === true) context.print(formatJson(inJson(found)));
    else for (const one of found) printCheck(one, context.print);
    return found.every(({ result }) => result === 'ok') ? exitCodes.ok : exitCodes.degraded;
  },
};

function printCheck(check: Check, print: (text: string) => void): void {
  const { name, result, outcome, details, advice } = check;
  print(printable(`${result.padEnd(7)}  ${name}: ${outcome}`));
  for (const one of details) print(printable(`           ${one}`));
  for (const one of advice) print(printable(`           what to do: ${one}`));
}

function inJson(found: readonly Check[]): object {
  return {
    checks: Object.fromEntries(
      found.map(({ name, result, details, advice }) => [name, { result, details, advice }]),
    ),
  };
}
