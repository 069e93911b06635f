import { Cloud, type CloudOptions } from '../cloud/cloud.ts';
import { Pki } from './pki.ts';

/** The id scope of the cloud double. */
export const scopeId = '0ne00000001';

/** A cloud double without a rig, and the PKI of its certificate and those of its clients. */
export class PkiCloud implements AsyncDisposable {
  readonly cloud: Cloud;
  readonly pki: Pki;

  protected constructor({ cloud, pki }: Pick<PkiCloud, 'cloud' | 'pki'>) {
    this.cloud = cloud;
    this.pki = pki;
  }

  /** Starts the parts of a subclass. */
  protected static async startParts(
    options: Pick<CloudOptions, 'enrollments'> & Partial<CloudOptions>,
  ): Promise<Pick<PkiCloud, 'cloud' | 'pki'>> {
    const pki = await Pki.create();
    const server = await pki.issue('cloud', ['localhost', '127.0.0.1']);
    const clientRoots = pki.root.certificate;
    return { pki, cloud: await Cloud.start({ ...server, clientRoots, scopeId, ...options }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cloud[Symbol.asyncDispose]();
    await this.pki[Symbol.asyncDispose]();
  }
}
