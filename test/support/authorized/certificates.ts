import { type AuthorizedCall, argument, type OtherDetail } from './call.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
function issue(
  what: string,
  { verb, profile, other }: { verb: string; profile: string; other?: string },
): AuthorizedCall {
  const certificate_id = `issued-${profile}`;
  const details = { certificate_id, issuer: 'my-ca', profile };
  return {
    service: 'certificates',
    method: 'Issue',
    what,
    use: {
      args: { certificate_id, csr: bytes('no request') },
      options: { issuer: 'my-ca', profile },
      resolved: { issuer: 'my-ca', profile },
    },
    requests: [{ action: `org.iotedge.certificates1.${verb}`, details }],
    others: [
      argument('certificate_id', `${certificate_id}2`),
      ['issuer', 'my-ca2', { options: { issuer: 'my-ca2' }, resolved: { issuer: 'my-ca2' } }],
      ...(other === undefined ? [] : [profileOf(other)]),
    ],
    outcome: 'InvalidArgs',
  };
}

const profileOf = (profile: string): OtherDetail => [
  'profile',
  profile,
  { options: { profile }, resolved: { profile } },
];

/** The details that Enroll and Renew resolve to where no rule is configured. */
const resolved = { issuer: 'device-ca', profile: 'client' };

const otherIssuer: OtherDetail = [
  'issuer',
  'my-ca',
  { options: { issuer: 'my-ca' }, resolved: { issuer: 'my-ca' } },
];

function order(
  method: string,
  profile: 'client' | 'workload-ca',
  outcome?: AuthorizedCall['outcome'],
): AuthorizedCall {
  const certificate_id = `ordered-${profile}`;
  const verb = profile === 'client' ? 'issue' : 'issue-ca';
  return {
    service: 'certificates',
    method,
    what: `for a ${profile}`,
    use: { args: { certificate_id }, resolved: { ...resolved, profile } },
    requests: [
      {
        action: `org.iotedge.certificates1.${verb}`,
        details: { certificate_id, ...resolved, profile },
      },
    ],
    others: [
      argument('certificate_id', `${certificate_id}2`),
      ...(method === 'Enroll' ? [otherIssuer] : []),
    ],
    ...(outcome !== undefined && { outcome }),
  };
}

const cancellations = ['Enroll', 'Renew'].map((operation): AuthorizedCall => {
  const { requests, use } = order(operation, 'client');
  const id = 'ordered-client';
  return {
    service: 'certificates',
    method: 'Cancel',
    what: `of ${operation}`,
    use: { args: { id }, resolved: { ...use.resolved, operation } },
    requests,
    others: [argument('certificate_id', `${id}2`, 'id')],
  };
});

export const certificateCalls: readonly AuthorizedCall[] = [
  order('Enroll', 'client', 'a result'),
  order('Enroll', 'workload-ca'),
  order('Renew', 'client', 'a result'),
  order('Renew', 'workload-ca'),
  ...cancellations,
  {
    service: 'certificates',
    method: 'Cancel',
    what: 'of nothing',
    use: { args: { id: 'idle' }, resolved: { operation: '', issuer: '', profile: '' } },
    requests: [
      {
        action: 'org.iotedge.certificates1.issue',
        details: { certificate_id: 'idle', issuer: '', profile: '' },
      },
    ],
    others: [argument('certificate_id', 'idle2', 'id')],
    outcome: 'NotFound',
  },
  issue('for a client', { verb: 'issue', profile: 'client', other: 'server' }),
  issue('for a server', { verb: 'issue', profile: 'server', other: 'device-identity' }),
  issue('for a device', { verb: 'issue', profile: 'device-identity', other: 'client' }),
  issue('for the CA of a device', { verb: 'issue-ca', profile: 'device-ca', other: 'workload-ca' }),
  issue('for the CA of modules', { verb: 'issue-ca', profile: 'workload-ca', other: 'device-ca' }),
  {
    service: 'certificates',
    method: 'ImportCertificate',
    use: { args: { certificate_id: 'imported', data: bytes('none'), format: 'der' } },
    requests: [
      { action: 'org.iotedge.certificates1.import', details: { certificate_id: 'imported' } },
    ],
    others: [argument('certificate_id', 'imported2')],
    outcome: 'InvalidArgs',
  },
  {
    service: 'certificates',
    method: 'ExportCertificate',
    use: { args: { certificate_id: 'exported', format: 'der' } },
    requests: [
      {
        action: 'org.iotedge.certificates1.export',
        details: { certificate_id: 'exported', format: 'der' },
      },
    ],
    others: [argument('certificate_id', 'exported2'), argument('format', 'pem')],
    outcome: 'NotFound',
  },
  {
    service: 'certificates',
    method: 'DeleteCertificate',
    use: { args: { certificate_id: 'deleted' } },
    requests: [
      { action: 'org.iotedge.certificates1.delete', details: { certificate_id: 'deleted' } },
    ],
    others: [argument('certificate_id', 'deleted2')],
    outcome: 'NotFound',
  },
];
