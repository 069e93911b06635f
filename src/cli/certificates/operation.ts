/**
 * Enrolments and renewals. The Certificates service carries them out by itself once they are accepted, and tries again
 * what failed; the command only shows how they proceed, so its end, and that of its terminal, changes nothing.
 */
import type { Bus } from '../../dbus/bus.ts';
import type { Client, ClientCallOptions } from '../../dbus/client/client.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { type certificatesInterface, certificatesService } from '../../interfaces/certificates.ts';
import { quoted } from '../../quoted.ts';
import { type CommandContext, exitCodes } from '../command.ts';
import { Interrupt } from '../interrupt.ts';
import { ObjectChanges } from '../objects/object-changes.ts';
import { Standstill } from '../objects/standstill.ts';
import { formatJson, printable } from '../output.ts';
import { ProgressLine } from '../progress-line.ts';
import { withTerminalAgent } from '../terminal-agent.ts';
import type { CertificateView } from './certificate-view.ts';
import type { Certificates } from './certificates.ts';
import { failureOf, successOf, type Verb } from './outcome.ts';
import { relativeTime } from './time-text.ts';

/** The parts of the service that operations use. */
export interface OperationCertificates extends Pick<Certificates, 'call' | 'find'> {
  readonly bus: Pick<Bus, 'subscribe'>;
}

/** An enrolment or a renewal. */
export interface CertificateOperation {
  readonly verb: Verb;
  readonly id: string;
  /** Calls the method with `wait` false. */
  readonly begin: (
    methods: Client<typeof certificatesInterface>,
    options: ClientCallOptions,
  ) => Promise<unknown>;
}

/** How long a command waits for its operation. */
export const waitingOptions = {
  'no-wait': {
    type: 'boolean',
    help: 'end once the operation is accepted; the service carries it out in any case',
  },
  'until-issued': {
    type: 'boolean',
    help: 'wait also while the issuer has not decided, and while the service tries again',
  },
} as const;

/** Has an operation carried out and shows how it proceeds; throws when it fails. */
export async function carryOut(
  certificates: OperationCertificates,
  context: CommandContext,
  operation: CertificateOperation,
): Promise<number> {
  const { id, verb } = operation;
  const isJson = context.options['json'] === true;
  const before = await certificates.find(id);
  await using changes = await ObjectChanges.watch(certificates.bus, certificatesService, id);
  await withTerminalAgent(context, () => certificates.call(operation.begin));
  if (context.options['no-wait'] === true) {
    if (!isJson) context.print(`${id}: ${verb} is accepted`);
    else context.print(formatJson((await certificates.find(id))?.whole ?? {}));
    return exitCodes.ok;
  }
  const { code, after } = await untilEnd(certificates, context, { operation, changes });
  if (code !== exitCodes.ok) return code;
  const now = new Date();
  const failure = failureOf(verb, { before, after }, now);
  if (failure !== undefined) {
    throw new ServiceError(failure.code, `the certificate ${quoted(id)} ${failure.text}`);
  }
  if (isJson) context.print(formatJson(after?.whole ?? {}));
  else context.print(printable(`${id}: ${successOf({ before, after }, now)}`));
  return code;
}

interface Waiting {
  readonly operation: CertificateOperation;
  readonly changes: ObjectChanges;
}

interface Ended {
  readonly code: number;
  readonly after: CertificateView | undefined;
}

/** Waits until the operation has ended, or the user interrupts the wait. */
async function untilEnd(
  certificates: OperationCertificates,
  context: CommandContext,
  { operation: { id, verb }, changes }: Waiting,
): Promise<Ended> {
  const { note, options } = context;
  const isPatient = options['until-issued'] === true;
  using interrupt = new Interrupt();
  using progress = new ProgressLine({
    stream: process.stderr,
    note,
    isQuiet: options['json'] === true,
  });
  const standstill = new Standstill();
  for (;;) {
    const { certificate, problem } = await observed(certificates, id);
    if (problem === '' && isEnded(certificate, verb, isPatient)) {
      return { code: exitCodes.ok, after: certificate };
    }
    if (interrupt.signal.aborted) {
      progress.clear();
      note(`${id}: ${verb} goes on in the Certificates service: ${leftTo(id)}`);
      return { code: exitCodes.interrupted, after: certificate };
    }
    if (standstill.isTooLong(problem)) {
      const text = `the certificate ${quoted(id)} is not issued yet: ${problem}`;
      throw new ServiceError('Unavailable', `${text}; the operation goes on: ${leftTo(id)}`);
    }
    progress.show(`${id}: ${problem === '' ? progressText(certificate) : `waiting: ${problem}`}`);
    await changes.next(interrupt.signal);
  }
}

/** Whether the operation has ended, and for a patient user whether the service will not go on by itself. */
function isEnded(
  certificate: CertificateView | undefined,
  verb: Verb,
  isPatient: boolean,
): boolean {
  if (certificate?.operation === verb) return false;
  return !isPatient || (certificate?.nextAttempt ?? 0) === 0;
}

interface Observed {
  readonly certificate: CertificateView | undefined;
  /** Why the service cannot be asked, `` when it can. */
  readonly problem: string;
}

/** The certificate, or why it cannot be seen: the service restarts. */
async function observed(certificates: OperationCertificates, id: string): Promise<Observed> {
  try {
    return { certificate: await certificates.find(id), problem: '' };
  } catch (error) {
    if (!isServiceError(error, 'Unavailable')) throw error;
    return { certificate: undefined, problem: describeError(error) };
  }
}

function progressText(certificate: CertificateView | undefined): string {
  const { operation = '', lastError = '', nextAttempt = 0 } = certificate ?? {};
  if (operation !== '') return 'waiting for the issuer';
  const reason = lastError === '' ? '' : `${lastError}; `;
  return `${reason}the next attempt is ${relativeTime(nextAttempt, new Date())}`;
}

function leftTo(id: string): string {
  return `'iotedgectl certificates show ${id}' shows it, 'iotedgectl certificates cancel ${id}' ends it`;
}
