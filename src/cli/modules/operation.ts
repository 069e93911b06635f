/**
 * Operations on modules. The Module Runtime carries them out by itself once they are accepted; the command only shows
 * how they proceed, so its end, and that of its terminal, changes nothing.
 */
import type { Bus } from '../../dbus/bus.ts';
import type { Client, ClientCallOptions } from '../../dbus/client/client.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { type modulesInterface, modulesService } from '../../interfaces/modules.ts';
import { quoted } from '../../quoted.ts';
import { type CommandContext, exitCodes } from '../command.ts';
import { Interrupt } from '../interrupt.ts';
import { ObjectChanges } from '../objects/object-changes.ts';
import { Standstill } from '../objects/standstill.ts';
import { printable } from '../output.ts';
import { ProgressLine } from '../progress-line.ts';
import { withTerminalAgent } from '../terminal-agent.ts';
import type { ModuleView } from './module-view.ts';
import { failureOf, participles, type Verb } from './outcome.ts';
import type { Runtime } from './runtime.ts';
import { progressText } from './status-text.ts';

/** The parts of the runtime that operations use. */
export interface OperationRuntime extends Pick<Runtime, 'call' | 'find'> {
  readonly bus: Pick<Bus, 'subscribe'>;
}

/** An operation on a module. */
export interface ModuleOperation {
  readonly verb: Verb;
  readonly name: string;
  /** Calls the method with `wait` false. */
  readonly begin: (
    methods: Client<typeof modulesInterface>,
    options: ClientCallOptions,
  ) => Promise<unknown>;
}

/** The option that ends a command once its operation is accepted. */
export const noWaitOption = {
  'no-wait': {
    type: 'boolean',
    help: 'end once the operation is accepted; the Module Runtime carries it out in any case',
  },
} as const;

/** How an operation ended for the command. */
export interface Outcome {
  readonly code: number;
  /** The module afterwards, undefined when there is none. */
  readonly module: ModuleView | undefined;
}

/** Has an operation carried out and shows how it proceeds; throws when it fails. */
export async function carryOut(
  runtime: OperationRuntime,
  context: CommandContext,
  operation: ModuleOperation,
): Promise<Outcome> {
  const { name, verb } = operation;
  const print = context.options['json'] === true ? () => undefined : context.print;
  const before = await runtime.find(name);
  await using changes = await ObjectChanges.watch(runtime.bus, modulesService, name);
  await withTerminalAgent(context, () => runtime.call(operation.begin));
  if (context.options['no-wait'] === true) {
    print(`${name}: ${verb} is accepted`);
    return { code: exitCodes.ok, module: await runtime.find(name) };
  }
  const ended = await untilEnd(runtime, context, { operation, changes });
  if (ended.code !== exitCodes.ok) return ended;
  const { module: after } = ended;
  const failure = failureOf(verb, { before, after });
  if (failure !== undefined) {
    throw new ServiceError(failure.code, `module ${quoted(name)} ${failure.text}`);
  }
  print(`${name}: ${participles[verb]}`);
  const warning = after?.lastError ?? '';
  if (warning !== '' && warning !== before?.lastError) {
    context.note(printable(`warning: module ${quoted(name)}: ${warning}`));
  }
  return ended;
}

interface Waiting {
  readonly operation: ModuleOperation;
  readonly changes: ObjectChanges;
}

/** Waits until the operation has ended, or the user interrupts the wait. */
async function untilEnd(
  runtime: OperationRuntime,
  context: CommandContext,
  { operation: { name, verb }, changes }: Waiting,
): Promise<Outcome> {
  const isQuiet = context.options['json'] === true;
  using interrupt = new Interrupt();
  using progress = new ProgressLine({ stream: process.stderr, note: context.note, isQuiet });
  const standstill = new Standstill();
  for (;;) {
    const { module, problem } = await observed(runtime, name);
    if (problem === '' && module?.operation !== verb) return { code: exitCodes.ok, module };
    if (interrupt.signal.aborted) {
      progress.clear();
      context.note(`${name}: ${verb} goes on in the Module Runtime: ${leftTo(name)}`);
      return { code: exitCodes.interrupted, module };
    }
    if (standstill.isTooLong(problem)) {
      const text = `module ${quoted(name)} is not yet ${participles[verb]}: ${problem}`;
      throw new ServiceError('Unavailable', `${text}; the operation goes on: ${leftTo(name)}`);
    }
    if (problem !== '') progress.show(`${name}: waiting: ${problem}`);
    else if (module !== undefined) progress.show(`${name}: ${progressText(module)}`);
    await changes.next(interrupt.signal);
  }
}

interface Observed {
  readonly module: ModuleView | undefined;
  /** What the operation waits for because it is out of order, `` for nothing. */
  readonly problem: string;
}

/** The module and why its operation does not proceed: the engine cannot be reached, or the runtime restarts. */
async function observed(runtime: OperationRuntime, name: string): Promise<Observed> {
  try {
    const module = await runtime.find(name);
    const isStanding = module?.operation !== '' && /^(unknown|backoff)$/.test(module?.state ?? '');
    return { module, problem: isStanding ? (module?.lastError ?? '') : '' };
  } catch (error) {
    if (!isServiceError(error, 'Unavailable')) throw error;
    return { module: undefined, problem: describeError(error) };
  }
}

function leftTo(name: string): string {
  return `'iotedgectl modules show ${name}' shows it, 'iotedgectl modules cancel ${name}' ends it`;
}
