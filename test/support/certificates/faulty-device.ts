import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { Rig } from '../rig/rig.ts';
import { FaultyProcess } from './faulty-process.ts';

/** A rig whose Certificates service runs with the clock and the ends of a `FaultyProcess`. */
export class FaultyDevice implements AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly faults: FaultyProcess;
  readonly certificates: Client<typeof certificatesInterface>;
  readonly keys: Client<typeof keysInterface>;

  private constructor(rig: Rig, bus: Bus, faults: FaultyProcess) {
    this.rig = rig;
    this.bus = bus;
    this.faults = faults;
    this.certificates = client(bus, certificatesService, certificatesInterface);
    this.keys = client(bus, keysService, keysInterface);
  }

  static async start(): Promise<FaultyDevice> {
    const faults = await FaultyProcess.open();
    const rig = await Rig.start({ environment: { certificates: faults.environment } });
    return new FaultyDevice(rig, await rig.connect(), faults);
  }

  /** The properties of a certificate and the health of the service. */
  async shown(id: string) {
    const { json } = await this.certificates.Describe({});
    const described = JSON.parse(json) as {
      readonly objects: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
      readonly health: string;
    };
    const { State, LastError, NextAttempt, Operation } = described.objects[id] ?? {};
    return { State, LastError, NextAttempt, Operation, health: described.health };
  }

  /** The id of the key of the current certificate, which certifies it. */
  async keyOf(certificate_id: string): Promise<string> {
    const { certificate } = await this.certificates.GetCertificate({ certificate_id });
    const [leaf] = parseCertificatesPem(Buffer.from(certificate.chain_pem), certificate_id);
    const { spki } = await this.keys.GetPublicKey({ key_id: certificate.key_id });
    assert.ok(leaf?.spki.equals(spki), certificate_id);
    return certificate.key_id;
  }

  /** The ids of the keys that were made for a certificate. */
  async keysOf(id: string): Promise<readonly string[]> {
    const { json } = await this.keys.Describe({});
    const { objects } = JSON.parse(json) as { readonly objects: object };
    const name = `iotedge/certificate/${id}`;
    const isOwn = (one: string): boolean => one === name || one.startsWith(`${name}@`);
    return Object.keys(objects).filter(isOwn).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.rig[Symbol.asyncDispose]();
    await this.faults[Symbol.asyncDispose]();
  }
}
