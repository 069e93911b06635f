import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ownRequest } from '../dbus/client/via.ts';
import { describeError } from '../errors.ts';
import type { CertificateId } from '../ids.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import { releaseMemory } from '../native/release-memory.ts';
import type { Log } from '../service/log/log.ts';
import { KeyedMutex } from '../service/mutex.ts';
import { Cancellations } from '../service/operations/cancellations.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { EstIssuers } from './est/est-issuers.ts';
import { certificatesHandlers, certificatesResolvers } from './handlers.ts';
import { CommandIssuers } from './issuers/command/command-issuers.ts';
import { IssuerChains } from './issuers/issuer-chains.ts';
import { judgedIssuer } from './judgement/judged-issuer.ts';
import { KeyWatch } from './keys/key-watch.ts';
import { BusKeys } from './keys/keys-client.ts';
import { Publishing } from './publishing/publishing.ts';
import { Enrolments } from './renewal/enrolments.ts';
import { Executor } from './renewal/executor.ts';
import { Records } from './renewal/records.ts';
import { CertificateService } from './service.ts';
import { Storage } from './storage.ts';

/** The interval of refreshes, which detect expiry and replaced files. */
const refreshMs = 60_000;
/** The clients that activated the service have their replies by then. */
const verifyAfterMs = 2000;

/** Reserved for the record of a deleted certificate, the ids of its keys, while the disk is full. */
const reservedBytes = [4096, 4096];

/** Starts the Certificates service with the imported and the configured certificates. */
export async function startCertificates(
  context: StartContext<typeof certificatesService, CertificatesConfig>,
  random: () => number = Math.random,
): Promise<StartedService<typeof certificatesService, CertificatesConfig>> {
  const { bus, cleanup, config, log, now, objects, signal, stateDir } = context;
  const disk = cleanup.use(await StateDisk.open(stateDir, { reserve: reservedBytes }));
  const storage = await Storage.open(join(stateDir, 'certificates'), disk);
  const keys = new BusKeys(bus);
  const est = cleanup.use(new EstIssuers({ stateDir, log }));
  const commands = new CommandIssuers({ log });
  const issuerChains = new IssuerChains();
  const changes = new KeyedMutex<CertificateId>();
  const records = new Records({
    storage,
    changes,
    changed: async (id, entry) => {
      await service.changed(id, entry);
      await publishing.settled();
    },
  });
  const executor = new Executor({
    records,
    keys,
    issuing: () => ({
      ruleOf: (entry) => service.ruleOf(entry),
      issuerOf: (rule) => judgedIssuer(service.issuerOf(rule), rule),
      issuerChainOf: (rule) => issuerChains.digestOf(rule),
    }),
    onFailure: ({ id, reason, nextAttempt }) =>
      objects.emit('RenewalFailed', {
        certificate_id: id,
        reason,
        next_attempt: BigInt(nextAttempt) * 1000n,
      }),
    log,
    now,
    random,
  });
  const enrolments = cleanup.use(
    new Enrolments({
      executor,
      records,
      ruleFor: (verb, id, args) => {
        if (verb === 'Renew') service.assertRenewable(id);
        return service.orderRule(id, args);
      },
      isEnrolled: (id, args) => service.isEnrolled(id, args),
      publish: (id) => service.publish(id),
      log,
      now,
      signal,
    }),
  );
  const operation = (id: CertificateId): string => enrolments.operations.verb(id);
  const onChange = (id: CertificateId, chain: readonly Certificate[]): void => {
    publishing.request(id);
    if (issuerChains.note(id, chain)) enrolments.request();
  };
  const waitReason = (entry: CertificateEntry, at: Date): string => executor.waitReason(entry, at);
  const sources = { config, storage, keys, est, commands, objects, disk, now, changes };
  const parts = { ...sources, operation, waitReason, onChange };
  let publishDir = config.publish_dir;
  const publishing = cleanup.use(
    new Publishing({
      source: () => ({
        directory: publishDir,
        isListed: storage.failure === undefined,
        ids: () => service.published(),
        get: (id) => service.get(id, ownRequest(signal)),
        trustBundle: () => service.trustBundle(undefined),
      }),
      onProblems: (problems) => service.showPublishing(problems),
      log,
      now,
    }),
  );
  let service = new CertificateService(parts);
  disk.onProblem(() => service.publishHealth());
  await service.publishAll();
  const refreshCertificateKeys = () => refreshKeys(service, executor, { signal, log });
  const isOutdated = (): boolean => service.keysAreOutdated;
  const watch = new KeyWatch({ refresh: refreshCertificateKeys, isOutdated, signal });
  const cancellations = new Cancellations();
  const implementation = () => ({
    handlers: certificatesHandlers(service, { cancellations, enrolments, objects, publishing }),
    resolvers: certificatesResolvers(service, { cancellations, enrolments }),
  });
  return {
    ...implementation(),
    // or the first reader of a certificate sees no key
    async ready() {
      const listening = await watch.listen(bus);
      if (signal.aborted) return; // the connection ends with the process
      cleanup.use(listening);
      await refreshCertificateKeys();
    },
    onNameAcquired() {
      const timer = setInterval(() => {
        void refresh(service, log);
        publishing.request();
      }, refreshMs).unref();
      cleanup.defer(() => clearInterval(timer));
      enrolments.start();
      publishing.start();
      void verify(storage, { signal, log, changed: (id) => service.changed(id, storage.get(id)) });
    },
    isBusy: () => enrolments.operations.isBusy || publishing.isBusy,
    due: () => enrolments.due,
    async reload(changed) {
      const before = service;
      service = await before.reconfigured(changed);
      publishDir = changed.publish_dir;
      publishing.request();
      watch.request();
      await enrolments.hasten();
      // a call that still used the previous configuration may have published by that
      return { ...implementation(), retire: () => service.publishInPlaceOf(before) };
    },
  };
}

/** Certificates expire, and files of preloaded certificates are replaced, without a call. */
async function refresh(service: CertificateService, log: Log): Promise<void> {
  try {
    await service.publishAll();
  } catch (error) {
    log.error('certificate refresh failed', { error: describeError(error) });
  }
}

/** Finds the damage of records that their start did not see. */
async function verify(storage: Storage, { signal, log, changed }: VerifyOptions): Promise<void> {
  try {
    await pause(verifyAfterMs, undefined, { ref: false, signal });
    for (const id of await storage.verify(signal)) await changed(id);
    await releaseMemory(); // of what was parsed
  } catch (error) {
    if (!signal.aborted) log.error('certificates not verified', { error: describeError(error) });
  }
}

interface VerifyOptions {
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly changed: (id: CertificateId) => Promise<void>;
}

/** Keys are created and deleted independently of their certificates. */
async function refreshKeys(
  service: CertificateService,
  executor: Executor,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<void> {
  try {
    await service.refreshKeys(ownRequest(signal));
    await executor.checkKeys(ownRequest(signal));
  } catch (error) {
    log.error('key lookup of certificates failed', { error: describeError(error) });
  }
}
