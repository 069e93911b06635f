/**
 * The workload CA, which the device CA issues where its path length allows, and which issues the certificates of
 * modules. It is enrolled in the background, and renewed by the Certificates service; which one issues is judged anew
 * for each certificate, so that nothing has to be restarted. Whenever it cannot issue, the device CA does.
 */
import type { Bus } from '../../../dbus/bus.ts';
import { ownRequest, type Via, within } from '../../../dbus/client/via.ts';
import { childPath } from '../../../dbus/path.ts';
import { Variant } from '../../../dbus/wire/variant.ts';
import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { type CertificateId, parseCertificateId } from '../../../ids.ts';
import { certificatesService } from '../../../interfaces/certificates.ts';
import { Backoff } from '../../../service/backoff.ts';
import type { Log } from '../../../service/log/log.ts';
import { parseCertificatesPem } from '../../../x509/certificate.ts';
import type { Clients } from '../../clients.ts';
import { isUnreachable } from './outage.ts';
import { type CaChain, type Verdict, verdictOn } from './workload-ca-verdict.ts';

/** Its certificate id. */
const workloadCaId = parseCertificateId('iotedge/workload-ca');

const defaultDeviceCaId = parseCertificateId('device-ca');
/** An EST server may be slow. */
const enrolMs = 120_000;
const backoff = { minMs: 15_000, firstMs: 30_000, maxMs: 3_600_000 };

/** The parts of a workload CA. */
export interface WorkloadCaOptions {
  readonly certificates: Pick<Clients['certificates'], 'GetCertificate' | 'Enroll' | 'Renew'>;
  /** How its certificate is issued: `local_ca`, or a method that does not depend on the device CA. */
  readonly method: (via: Via) => Promise<string>;
  /** The configured device CA; undefined leaves the choice to the Certificates service. */
  readonly deviceCa: () => CertificateId | undefined;
  readonly now: () => Date;
  readonly log: Log;
}

/** Has the workload CA enrolled, and decides whether it issues a certificate. */
export class WorkloadCa implements AsyncDisposable {
  readonly #options: WorkloadCaOptions;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff(backoff);
  #enrolling: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #reported = '';

  constructor(options: WorkloadCaOptions) {
    this.#options = options;
  }

  /** Has it enrolled in the background, unless there is a good one or a failed attempt is to be repeated later. */
  start(): void {
    if (this.#backoff.retryAt(this.#options.now()) === undefined) this.#begin();
  }

  /**
   * Has a certificate issued by the workload CA if it can issue now, else by the device CA. Rejects as the device CA
   * does, or when the Certificates service cannot be reached.
   */
  async issue(
    by: (issuer: CertificateId | undefined) => Promise<string>,
    via: Via,
  ): Promise<string> {
    const verdict = await this.#verdict(via);
    if (verdict.kind === 'workload CA needed') this.start();
    let failure: ServiceError | undefined;
    if (verdict.kind === 'workload CA') {
      try {
        const issued = await by(workloadCaId);
        this.#report('', 'info');
        return issued;
      } catch (error) {
        if (!isServiceError(error) || isUnreachable(error) || via.signal.aborted) throw error;
        failure = error;
      }
    }
    const issued = await by(this.#options.deviceCa());
    if (failure !== undefined) this.#report(describeError(failure), 'warn');
    else if (verdict.kind === 'device CA') this.#report(verdict.reason, 'info');
    return issued;
  }

  /** Enrolment goes on in the Certificates service. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#retry);
    this.#stop.abort();
    await this.#enrolling;
  }

  #begin(): void {
    if (this.#stop.signal.aborted) return;
    this.#enrolling ??= this.#enrol().finally(() => {
      this.#enrolling = undefined;
    });
  }

  async #enrol(): Promise<void> {
    const { signal } = this.#stop;
    const { now } = this.#options;
    try {
      const via = ownRequest(signal);
      const verdict = await this.#ordered(via);
      this.#backoff.reset();
      this.#report(verdict.kind === 'device CA' ? verdict.reason : '', 'info');
    } catch (error) {
      if (signal.aborted) return;
      const delayMs = this.#backoff.failed(now());
      this.#report(describeError(error), 'warn');
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#begin(), delayMs).unref();
    }
  }

  /** Orders the certificate if it is needed; one that another CA has issued is renewed. */
  async #ordered(via: Via): Promise<Verdict> {
    const { certificates, deviceCa } = this.#options;
    const issuer = deviceCa() ?? defaultDeviceCaId;
    const long = within(enrolMs, via);
    const enrol = () =>
      certificates.Enroll({ certificate_id: workloadCaId, options: { issuer } }, long);
    const renew = () => certificates.Renew({ certificate_id: workloadCaId }, long);
    for (const order of [enrol, renew]) {
      const verdict = await this.#verdict(via);
      if (verdict.kind !== 'workload CA needed') return verdict;
      await order();
    }
    const verdict = await this.#verdict(via);
    if (verdict.kind !== 'workload CA needed') return verdict;
    throw new ServiceError('Unavailable', `"${workloadCaId}" is not issued by the device CA`);
  }

  async #verdict(via: Via): Promise<Verdict> {
    const { deviceCa, method, now } = this.#options;
    const [workload, device] = await Promise.all([
      this.#chain(workloadCaId, via),
      this.#chain(deviceCa() ?? defaultDeviceCaId, via),
    ]);
    const cas = { workloadCa: workload, deviceCa: device, now: now() };
    const verdict = verdictOn({ ...cas, isLocal: true });
    if (workload === undefined || verdict.kind === 'workload CA') return verdict;
    return verdictOn({ ...cas, isLocal: (await method(via)) === 'local_ca' });
  }

  /** Undefined when there is no such certificate, or none that can be used. */
  async #chain(id: CertificateId, via: Via): Promise<CaChain | undefined> {
    try {
      const { certificate } = await this.#options.certificates.GetCertificate(
        { certificate_id: id },
        via,
      );
      const [ca, ...above] = parseCertificatesPem(Buffer.from(certificate.chain_pem), id);
      return ca && [ca, ...above];
    } catch (error) {
      if (!isServiceError(error) || isUnreachable(error) || via.signal.aborted) throw error;
      return undefined;
    }
  }

  /** Logs why the device CA issues, `` when it does not, once for each reason. */
  #report(reason: string, level: 'info' | 'warn'): void {
    if (reason === this.#reported) return;
    const { log } = this.#options;
    if (reason === '') log.info('certificates of modules issued by the workload CA', {});
    else log[level]('certificates of modules issued by the device CA', { reason });
    this.#reported = reason;
  }
}

/** Reads how the certificate of the workload CA is issued. */
export function workloadCaMethod(bus: Bus): WorkloadCaOptions['method'] {
  const { busName: destination, path, child } = certificatesService;
  const call = {
    destination,
    path: childPath(path, child.segment, workloadCaId),
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    signature: 'ss',
    body: [child.interface.name, 'Method'],
  };
  return async ({ signal }) => {
    try {
      const [value] = await bus.call(call, { signal });
      return value instanceof Variant && typeof value.value === 'string' ? value.value : '';
    } catch (cause) {
      throw new ServiceError('Unavailable', `cannot read how "${workloadCaId}" is issued`, {
        cause,
      });
    }
  };
}
