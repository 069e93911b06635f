/** What edgeHub asks of the workload API when it starts. */
import { AgentHttp, WireError } from './agent-http.ts';
import { objectOf, readMember, timeOf } from './wire-forms.ts';

/** The module's own socket and identity, and the name that it serves. */
export interface HubPlace {
  readonly workloadSocket: string;
  readonly generationId: string;
  readonly deviceHostName: string;
}

/** The certificate with which the hub serves other modules. */
export interface ServerCertificate {
  readonly privateKey: string;
  readonly chain: string;
  readonly expiration: Date;
}

/** Asks in its order; returns the certificate that it would serve with. */
export async function startEdgeHub(place: HubPlace, now: Date): Promise<ServerCertificate> {
  const { deviceHostName: commonName, generationId, workloadSocket } = place;
  const http = new AgentHttp(workloadSocket, '2020-07-07');
  const own = `/modules/%24edgeHub/genid/${encodeURIComponent(generationId)}`;
  const ninetyDays = new Date(now.getTime() + 90 * 86_400_000);
  // .NET writes seven digits
  const expiration = ninetyDays.toISOString().replace('Z', '0000Z');
  const path = `${own}/certificate/server`;
  const json = { commonName, expiration };
  const issued = await http.json({ method: 'POST', path, json, statuses: [201] });
  for (const bundle of ['trust-bundle', 'manifest-trust-bundle'] as const) {
    const wanted = { method: 'GET', path: `/${bundle}`, statuses: [200] } as const;
    readMember(await http.json(wanted), 'certificate', bundle === 'manifest-trust-bundle');
  }
  return readCertificate(issued);
}

function readCertificate(value: unknown): ServerCertificate {
  const certificate = objectOf(value, 'a certificate');
  const key = objectOf(certificate['privateKey'], 'privateKey');
  if (key['type'] !== 'key') throw new WireError('the private key is a reference');
  return {
    privateKey: readMember(key, 'bytes'),
    chain: readMember(certificate, 'certificate'),
    expiration: timeOf(certificate, 'expiration'),
  };
}
