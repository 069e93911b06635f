/** Chains of certificates that the service has issued, from the leaf to the root: other programs judge them. */
import type { KeyObject } from 'node:crypto';
import type { Profile } from '../../../../src/certificates/config/certificate-rule.ts';
import type { Order } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import { parseCertificateId, parseModuleName } from '../../../../src/ids.ts';
import {
  type CertificateNames,
  createCertificate,
  identityNames,
  serverNames,
} from '../../../../src/modules/api/workload/module-certificate.ts';
import { type KeyAlgorithm, localSigner, spkiOf } from '../../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../../../src/x509/certificate.ts';
import { buildCsr } from '../../../../src/x509/csr.ts';
import { encodeName, parseName } from '../../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../../src/x509/subject-alternative-name.ts';
import { via } from '../../../support/via.ts';
import { makeKey } from '../../../support/x509/openssl.ts';
import { Rig } from '../rig.ts';

/** An issued certificate with everything above it, the root included. */
export interface IssuedChain {
  readonly what: string;
  readonly profile: Profile;
  readonly chain: readonly Certificate[];
  /** A name that clients of a server connect to. */
  readonly host?: string;
}

/** The kinds of keys of CAs and leaves. */
export const issuedKeyKinds = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-2048',
  'rsa-3072',
  'ed25519',
] as const satisfies readonly KeyAlgorithm[];

const year = 365 * 86_400;
const ca = {
  profiles: ['device-ca'],
  subject: 'CN=device ca,O=Müller & Söhne,C=DE',
  lifetime: '365d',
};
const hub = {
  profiles: ['server'],
  subject: 'CN=hub+serialNumber=42,O=Contoso,DC=example',
  dns: ['hub.example', '*.hub.example'],
  ip: ['10.0.0.1', '2001:db8::1'],
  uri: ['urn:hub:1'],
};
const certificates = {
  'lower-ca': { ...ca, subject: 'CN=lower ca' },
  hub,
  identity: { profiles: ['device-identity'] },
  'iotedge/module/*': { issuer: 'iotedge/workload-ca' },
};
const keys = new Map(issuedKeyKinds.map((kind) => [kind, makeKey(kind)]));

function keyOf(kind: (typeof issuedKeyKinds)[number]): KeyObject {
  const key = keys.get(kind);
  if (key === undefined) throw new TypeError(kind);
  return key;
}

/** A certificate that is signed with its own key. */
async function selfSigned(
  {
    profile,
    key,
    subject,
    host,
  }: Pick<Order, 'profile'> & {
    readonly key: KeyObject;
    readonly subject: string;
    readonly host?: string;
  },
  now = new Date(),
): Promise<Certificate> {
  const answer = await new SelfSignedIssuer().submit({
    id: parseCertificateId('own'),
    profile,
    lifetimeS: 30 * year,
    subjectDer: encodeName(parseName(subject)),
    names: host === undefined ? [] : [parseAlternativeName('dns', host)],
    key: { keyId: 'own', spki: spkiOf(key), signer: localSigner(key) },
    request: Buffer.alloc(0),
    cookie: undefined,
    renewed: undefined,
    now,
  });
  if (answer.kind !== 'issued' || answer.chain[0] === undefined) throw new TypeError(answer.kind);
  return answer.chain[0];
}

/** A CA certificate of its own that ends at a time. */
export function selfSignedUntil(end: Date): Promise<Certificate> {
  const now = new Date(end.getTime() - 30 * year * 1000);
  return selfSigned({ profile: 'device-ca', key: keyOf('ec-p256'), subject: ca.subject }, now);
}

/** The certificates below a device CA of its own with a key of a kind. */
async function issuedBelow(kind: (typeof issuedKeyKinds)[number]): Promise<readonly IssuedChain[]> {
  await using rig = await Rig.start({ certificates });
  const { service } = rig;
  const caKey = keyOf(kind);
  const root = await selfSigned({ profile: 'device-ca', key: caKey, subject: ca.subject });
  rig.keys.add('device-ca', caKey);
  await service.import('device-ca', { data: root.der, format: 'der' }, {});
  const upToRoot = (pem: string): readonly Certificate[] => {
    const chain = parseCertificatesPem(Buffer.from(pem), 'chain');
    return chain.at(-1)?.der.equals(root.der) === true ? chain : [...chain, root];
  };
  const issue = async (id: string, csr: Buffer): Promise<readonly Certificate[]> => {
    const pem = await service.issue(parseCertificateId(id), csr, { via });
    return upToRoot(pem);
  };
  const csrOf = (key: KeyObject) =>
    buildCsr({ subject: [], spki: spkiOf(key), signer: localSigner(key) });

  const workloadKey = makeKey('ec-p256');
  const workloadCa = await issue('iotedge/workload-ca', await csrOf(workloadKey));
  rig.keys.add('iotedge/workload-ca', workloadKey);
  const data = Buffer.from(encodeCertificatesPem(workloadCa));
  await service.import('iotedge/workload-ca', { data, format: 'pem' }, {});

  const module = async (id: string, names: CertificateNames, key: 'ec-p256' | 'rsa-2048') => {
    const { chainPem } = await createCertificate(names, key, (csr) =>
      service.issue(parseCertificateId(`iotedge/module/${id}`), csr, {
        profile: id.endsWith(':server') ? 'server' : 'client',
        via,
      }),
    );
    return upToRoot(chainPem);
  };
  const long = `${'a'.repeat(60)}.example.org`;
  const edgeHub = parseModuleName('edgeHub');
  const identity = { hub_hostname: 'hub.net', device_id: 'dév/1', module_id: '$edgeHub' };
  const below = `below ${kind}`;
  return [
    { what: `the workload CA ${below}`, profile: 'workload-ca', chain: workloadCa },
    {
      what: `a device CA ${below}`,
      profile: 'device-ca',
      chain: await issue('lower-ca', await csrOf(keyOf('ec-p384'))),
    },
    ...(await Promise.all(
      issuedKeyKinds.map(
        async (key): Promise<IssuedChain> => ({
          what: `a server with ${key} ${below}`,
          profile: 'server',
          chain: await issue('hub', await csrOf(keyOf(key))),
          host: 'a.hub.example',
        }),
      ),
    )),
    {
      what: `a client ${below}`,
      profile: 'client',
      chain: await issue('sensor', await csrOf(keyOf('ed25519'))),
    },
    {
      what: `a device identity ${below}`,
      profile: 'device-identity',
      chain: await issue('identity', await csrOf(keyOf('ec-p256'))),
    },
    {
      what: `the server of a module ${below}`,
      profile: 'server',
      chain: await module('edgeHub:server', serverNames('edgehub', edgeHub), 'rsa-2048'),
      host: 'edgehub',
    },
    {
      what: `the server of a module without a subject ${below}`,
      profile: 'server',
      chain: await module(
        'edgeHub:server',
        { ...serverNames(long, edgeHub), commonName: undefined },
        'ec-p256',
      ),
      host: long,
    },
    {
      what: `the identity of a module ${below}`,
      profile: 'client',
      chain: await module('edgeHub:identity', identityNames(identity), 'ec-p256'),
    },
  ];
}

/** The certificates of every profile, below CAs with keys of every kind and signed with their own keys. */
export async function issuedChains(): Promise<readonly IssuedChain[]> {
  const own = issuedKeyKinds.map(async (kind): Promise<readonly IssuedChain[]> => {
    const root = await selfSigned({ profile: 'device-ca', key: keyOf(kind), subject: ca.subject });
    const server = { profile: 'server', key: keyOf(kind), subject: 'CN=own', host: 'own' } as const;
    return [
      { what: `a device CA of its own with ${kind}`, profile: 'device-ca', chain: [root] },
      {
        what: `a server of its own with ${kind}`,
        profile: 'server',
        chain: [await selfSigned(server)],
        host: 'own',
      },
    ];
  });
  const below = issuedKeyKinds.map(issuedBelow);
  return (await Promise.all([...own, ...below])).flat();
}
