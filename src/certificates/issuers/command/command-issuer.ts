import type { Via } from '../../../dbus/client/via.ts';
import { isServiceError, ServiceError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { type Certificate, isSelfSigned } from '../../../x509/certificate.ts';
import { raw } from '../../../x509/der/asn1.ts';
import { decodeName } from '../../../x509/name.ts';
import type { CommandSettings } from '../../config/command-settings.ts';
import { hasAcceptedSignature } from '../../judgement/certification-path.ts';
import { judgeIssued } from '../../judgement/judgement.ts';
import type { Answer, Issuer, Order } from '../issuer.ts';
import { environmentFor } from './helper-environment.ts';
import { certificatesOf, cookieIn, delayedCookieIn, firstLineOf } from './helper-output.ts';
import { type HelperResult, runHelper } from './helper-process.ts';
import { type Lookups, requireTrustedProgram } from './trusted-program.ts';

/** Options of a command issuer. */
export interface CommandIssuerOptions {
  /** Its name in the configuration. */
  readonly name: string;
  readonly settings: CommandSettings;
  readonly log: Log;
  readonly lookups?: Lookups;
  /** How long a helper may take to end after SIGTERM. */
  readonly killAfterMs?: number;
}

const leastWaitS = 60;

/** Orders certificates from a program of the device, as certmonger's helpers are run: one run for each attempt. */
export class CommandIssuer implements Issuer {
  readonly #options: CommandIssuerOptions;

  constructor(options: CommandIssuerOptions) {
    this.#options = options;
  }

  async submit(order: Order, { signal }: Via): Promise<Answer> {
    const { name, settings, lookups, killAfterMs } = this.#options;
    const { command, timeoutMs } = settings;
    await requireTrustedProgram(command[0], lookups);
    const environment = environmentFor(order, name);
    const run = {
      command,
      environment,
      timeoutMs,
      ...(killAfterMs !== undefined && { killAfterMs }),
    };
    return this.#answerOf(await runHelper(run, signal), order);
  }

  /** By certmonger's exit codes. */
  #answerOf(result: HelperResult, order: Order): Answer {
    const { exitCode, output } = result;
    const said = firstLineOf(result);
    const because = (what: string): string => (said === '' ? `the helper ${what}` : said);
    switch (exitCode) {
      case 0:
        return this.#issued(output, order);
      case 1:
        // an ordinary failure of a script, too
        if (output.length === 0) throw noCookie(said);
        return { kind: 'pending', cookie: cookieIn(output), retryAfterS: undefined };
      case 2:
        // as with certmonger, a certificate that exists is tried to be renewed again later
        return rejected(because('gave no reason'), {
          isFinal: order.renewed === undefined,
          isDecided: true,
        });
      case 3:
        throw new ServiceError('Unavailable', because('did not reach its CA'));
      case 4:
        return rejected(because('lacks settings'), { isFinal: true });
      case 5: {
        const { delayS, cookie } = delayedCookieIn(output);
        return { kind: 'pending', cookie, retryAfterS: Math.max(leastWaitS, delayS) };
      }
      case 6:
        return rejected(because('does not support the operation'), { isFinal: true });
      case 16:
        return rejected(because('wants data for SCEP, which it cannot get here'), {
          isFinal: true,
        });
      case 17:
        return { kind: 'rekey', reason: because('wants a request with another key') };
      default: {
        const end =
          exitCode === undefined ? `was ended by ${result.signal}` : `ended with ${exitCode}`;
        const text = said === '' ? '' : `: ${said}`;
        throw new ServiceError('Unavailable', `the helper ${end}${text}`);
      }
    }
  }

  #issued(output: Buffer, order: Order): Answer {
    const { name, log } = this.#options;
    const { profile, names, key, now, subjectDer } = order;
    let certificates: readonly Certificate[];
    try {
      certificates = certificatesOf(output);
    } catch (error) {
      if (!isServiceError(error)) throw error;
      // not repeated at once: the CA may have issued one
      return rejected(`the helper gave no certificate: ${error.message}`, { isFinal: false });
    }
    const anchors = anchorsAmong(certificates, key.spki);
    const verdict = judgeIssued(
      { certificates, others: [], anchors },
      {
        spki: key.spki,
        profile,
        subject: decodeName(raw(subjectDer)),
        names,
      },
      now,
    );
    if (verdict.kind === 'refused')
      return rejected(verdict.reason, { isFinal: false, isDecided: true });
    for (const remark of verdict.remarks) {
      const fields = { issuer: name, certificateId: order.id, remark };
      log.info('certificate differs from its order', fields);
    }
    return { kind: 'issued', chain: verdict.chain };
  }
}

function noCookie(said: string): ServiceError {
  const text = said === '' ? '' : `: ${said}`;
  const problem = 'the helper ended with 1, which means to wait, and gave no cookie';
  return new ServiceError('Unavailable', `${problem}${text}`);
}

/**
 * The certificates that a path may end with: nothing but the helper, which is root's, vouches for its CA, so these are
 * the topmost ones of its output. A certificate that comes alone is its own, as its issuer is not known.
 */
function anchorsAmong(certificates: readonly Certificate[], spki: Buffer): readonly Certificate[] {
  const cas = certificates.filter((one) => !one.spki.equals(spki));
  if (cas.length === 0) return certificates.filter(hasAcceptedSignature);
  return cas.filter(
    (one) => isSelfSigned(one) || !cas.some(({ subjectDer }) => subjectDer.equals(one.issuerDer)),
  );
}

function rejected(
  reason: string,
  how: { readonly isFinal: boolean; readonly isDecided?: boolean },
): Answer {
  return { kind: 'rejected', reason, ...how, retryAfterS: undefined };
}
