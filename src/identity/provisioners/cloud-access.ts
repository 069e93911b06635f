import { setTimeout as delay } from 'node:timers/promises';
import type { Bus } from '../../dbus/bus.ts';
import { serviceClient } from '../../dbus/client/client.ts';
import type { Via } from '../../dbus/client/via.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { keysService } from '../../interfaces/keys.ts';
import { NamedCertificates } from '../cloud/certificate-file.ts';
import type { CloudClient } from '../cloud/cloud.ts';
import { type CredentialSource, certificateName, readCredential } from '../cloud/credential.ts';
import { HttpsCloud } from '../cloud/https-cloud.ts';
import type { DpsSettings, IdentityConfig } from '../config/config.ts';
import { DpsProvisioner } from './dps.ts';
import { IssuedCertificate, issuedCertificate } from './issued-certificate.ts';
import type { Provisioner } from './provisioner.ts';

const decisionMs = 10 * 60_000;

/** Notified of observations about the cloud and the device's certificate. */
export interface CloudListeners {
  readonly onDate: (date: Date) => void;
  readonly onCommonName: (name: string) => void;
}

/** Options that do not depend on the configuration. */
export interface CloudAccessOptions extends CloudListeners {
  readonly bus: Bus;
  readonly https: HttpsClient;
  readonly now: () => Date;
  readonly version: string;
}

/** Access to the cloud, and the provisioner, by a configuration. */
export class CloudAccess {
  readonly config: IdentityConfig;
  /** The hub, with the certificate that the provisioning service issued, else the one that the device registers with. */
  readonly cloud: CloudClient;
  /** Undefined when the configuration has no provisioning. */
  readonly provisioner: Provisioner | undefined;
  readonly #options: CloudAccessOptions;

  constructor(config: IdentityConfig, options: CloudAccessOptions) {
    this.config = config;
    this.#options = options;
    const issued = config.dps?.issuance === undefined ? undefined : issuedCertificate;
    this.cloud = this.#openCloud(issued);
    this.provisioner = config.dps && this.#dpsProvisioner(config.dps);
  }

  /** The registration id of the device: configured, or the common name of its certificate. */
  async registrationId(via: Via): Promise<string> {
    const dps = required(this.config.dps);
    if (dps.registrationId !== undefined) return dps.registrationId;
    const { commonName } = await readCredential(this.#source(new NamedCertificates(), dps), via);
    if (commonName !== undefined) return commonName;
    throw new ServiceError(
      'Unavailable',
      `${certificateName(dps)} has no common name: set provisioning.registration_id`,
    );
  }

  #openCloud(issued?: CredentialSource['dps']): CloudClient {
    const { https, onCommonName, onDate, version } = this.#options;
    const { cloud: settings, dps } = this.config;
    const files = new NamedCertificates();
    return new HttpsCloud({
      https,
      settings,
      files,
      userAgent: `iotedge-identity/${version}`,
      onDate,
      credential: async (via) => {
        const own = this.#source(files, required(dps));
        const found = issued && (await readIfPresent({ ...own, dps: issued }, via));
        if (found !== undefined) return found;
        const credential = await readCredential(own, via);
        if (credential.commonName !== undefined) onCommonName(credential.commonName);
        return credential;
      },
    });
  }

  #dpsProvisioner({ endpoint, issuance, scopeId }: DpsSettings): DpsProvisioner {
    const { bus, now } = this.#options;
    const clients = {
      keys: serviceClient(bus, keysService, keysService.manager),
      certificates: serviceClient(bus, certificatesService, certificatesService.manager),
    };
    return new DpsProvisioner({
      endpoint,
      scopeId,
      cloud: this.#openCloud(),
      issuance:
        issuance === undefined
          ? undefined
          : new IssuedCertificate({ apiVersion: issuance, now, ...clients }),
      registrationId: (via) => this.registrationId(via),
      delay: (ms, stop) => delay(ms, undefined, { signal: stop }),
      deadline: () => AbortSignal.timeout(decisionMs),
    });
  }

  #source(files: NamedCertificates, dps: DpsSettings): CredentialSource {
    const { bus, now } = this.#options;
    const certificates = serviceClient(bus, certificatesService, certificatesService.manager);
    return { certificates, files, dps, now };
  }
}

/** The client certificate; undefined when there is none of that id. */
async function readIfPresent(source: CredentialSource, via: Via) {
  try {
    return await readCredential(source, via);
  } catch (error) {
    if (isServiceError(error, 'NotFound')) return undefined;
    throw error;
  }
}

function required(dps: DpsSettings | undefined): DpsSettings {
  if (dps !== undefined) return dps;
  throw new ServiceError('NotProvisioned', 'identity.yaml has no provisioning');
}
