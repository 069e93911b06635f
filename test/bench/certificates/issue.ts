import { LocalCaIssuer } from '../../../src/certificates/issuers/local-ca.ts';
import { grant, policyFor } from '../../../src/certificates/issuers/policy.ts';
import { BusKeys } from '../../../src/certificates/keys/keys-client.ts';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { encodeCertificatesPem, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { buildCsr, parseCsr } from '../../../src/x509/csr.ts';
import { Rig } from '../../support/rig/rig.ts';
import { via } from '../../support/via.ts';
import { makeKey } from '../../support/x509/openssl.ts';
import { median, quantile, type Result } from '../result.ts';

const count = 300;
const certificate_id = 'bench-leaf';
const policy = policyFor({ certificates: {} }, certificate_id);

/** Issues in this process with Sign through the bus: the floor. */
class InProcess {
  readonly #issuer: LocalCaIssuer;

  private constructor(issuer: LocalCaIssuer) {
    this.#issuer = issuer;
  }

  static async open(bus: Bus, certificates: Client<typeof certificatesInterface>) {
    const { certificate } = await certificates.GetCertificate({ certificate_id: 'device-ca' });
    const [ca, ...above] = parseCertificatesPem(Buffer.from(certificate.chain_pem), 'the CA');
    if (ca === undefined) throw new Error('the device has no CA');
    const signer = new BusKeys(bus).signer('device-ca', ca.spki, via);
    const authority = { id: 'device-ca', chain: [ca, ...above] as const, signer };
    const onKeyReplaced = (): void => undefined;
    return new InProcess(
      new LocalCaIssuer({ authority: () => Promise.resolve(authority), onKeyReplaced }),
    );
  }

  async issue(csr: Buffer): Promise<string> {
    const request = parseCsr(csr);
    const { spki, keyAlgorithm: algorithm } = request;
    const profile = 'client';
    const answer = await this.#issuer.submit(
      {
        ...grant(policy, request, { profile, lifetimeS: undefined }),
        id: parseCertificateId(certificate_id),
        profile,
        key: { keyId: '', spki, algorithm, signer: undefined },
        request: request.der,
        cookie: undefined,
        renewed: undefined,
        now: new Date(),
      },
      via,
    );
    if (answer.kind !== 'issued') throw new Error(answer.kind);
    return encodeCertificatesPem(answer.chain);
  }
}

/** The milliseconds of calls, one after the other. */
async function times(call: () => Promise<unknown>): Promise<readonly number[]> {
  const all: number[] = [];
  while (all.length < count) {
    const at = performance.now();
    await call();
    all.push(performance.now() - at);
  }
  return all;
}

/** Issue from a local CA, whose key is in a token, with one call in flight. */
export async function issues(rounds: number): Promise<readonly Result[]> {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const floor = await InProcess.open(bus, certificates);
  const key = makeKey('ec-p256');
  const csr = await buildCsr({ subject: [], spki: spkiOf(key), signer: localSigner(key) });
  const round = async () => ({
    ours: await times(() => certificates.Issue({ certificate_id, csr })),
    floor: await times(() => floor.issue(csr)),
  });
  for (let warmUp = 0; warmUp < 3; warmUp++) await round(); // V8 compiles
  const all: Awaited<ReturnType<typeof round>>[] = [];
  while (all.length < rounds) all.push(await round());
  const middle = (share: number, whose: 'ours' | 'floor'): number =>
    median(all.map((each) => quantile(each[whose], share)));
  return [
    {
      what: 'Issue from a local CA, one in flight: p50',
      measured: `${middle(0.5, 'ours').toFixed(2)} ms, p99 ${middle(0.99, 'ours').toFixed(2)} ms`,
      floor: `in process with Sign ${middle(0.5, 'floor').toFixed(2)} ms`,
      ratio: median(all.map(({ ours, floor }) => median(ours) / median(floor))),
      wanted: '<= 1.30, < 6 ms',
    },
  ];
}
