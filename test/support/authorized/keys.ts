import { type AuthorizedCall, argument, type Use } from './call.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
function keyUse(
  method: string,
  { mechanism, other, args }: { mechanism: string; other: string; args: Use['args'] },
): AuthorizedCall {
  const verb = method.toLowerCase();
  const key_id = `to-${verb}`;
  return {
    service: 'keys',
    method,
    use: { args: { key_id, mechanism, ...args }, options: { derivation: bytes('web 1') } },
    requests: [
      {
        action: `org.iotedge.keys1.${verb}`,
        details: { key_id, mechanism, derivation: 'web%201' },
      },
    ],
    others: [
      argument('key_id', `${key_id}2`),
      argument('mechanism', other),
      ['derivation', 'web%202', { options: { derivation: bytes('web 2') } }],
      ['derivation', '', { options: { derivation: undefined } }],
    ],
    outcome: 'NotFound',
  };
}

export const keyCalls: readonly AuthorizedCall[] = [
  {
    service: 'keys',
    method: 'CreateKeyPair',
    use: {
      args: { key_id: 'pair', algorithms: ['ec-p384', 'rsa-2048'], usages: ['sign', 'decrypt'] },
      options: { exportable: true, store: 'file', if_exists: 'keep' },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.create',
        details: {
          key_id: 'pair',
          algorithm: 'ec-p384,rsa-2048',
          usages: 'sign,decrypt',
          exportable: 'true',
        },
      },
    ],
    others: [
      argument('key_id', 'pair2'),
      ['algorithm', 'ec-p384', { args: { algorithms: ['ec-p384'] } }],
      ['algorithm', 'ec-p256,rsa-2048', { args: { algorithms: [] } }],
      ['usages', 'decrypt', { args: { usages: ['decrypt'] } }],
      ['usages', 'sign', { args: { usages: [] } }],
      ['exportable', 'false', { options: { exportable: false } }],
      ['exportable', 'false', { options: { exportable: undefined } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'CreateKey',
    use: {
      args: { key_id: 'symmetric', algorithm: 'hmac-sha256', usages: ['sign', 'derive'] },
      options: { exportable: true, store: 'file' },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.create',
        details: {
          key_id: 'symmetric',
          algorithm: 'hmac-sha256',
          usages: 'sign,derive',
          exportable: 'true',
        },
      },
    ],
    others: [
      argument('key_id', 'symmetric2'),
      argument('algorithm', 'aes-256'),
      ['usages', 'derive', { args: { usages: ['derive'] } }],
      ['usages', 'sign', { args: { usages: [] } }],
      ['exportable', 'false', { options: { exportable: false } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'CreateKey',
    what: 'whose derived keys are exportable',
    use: {
      args: { key_id: 'base', algorithm: 'hmac-sha256', usages: ['sign', 'derive'] },
      options: { export_derived: true, store: 'file' },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.create',
        details: {
          key_id: 'base',
          algorithm: 'hmac-sha256',
          usages: 'sign,derive',
          exportable: 'true',
        },
      },
    ],
    others: [
      argument('key_id', 'base2'),
      ['exportable', 'false', { options: { export_derived: false } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'CreateKey',
    what: 'without usages',
    use: { args: { key_id: 'plain', algorithm: 'aes-256', usages: [] } },
    requests: [
      {
        action: 'org.iotedge.keys1.create',
        details: { key_id: 'plain', algorithm: 'aes-256', usages: 'encrypt', exportable: 'false' },
      },
    ],
    others: [
      argument('key_id', 'plain2'),
      ['usages', 'encrypt,derive', { args: { usages: ['encrypt', 'derive'] } }],
      ['exportable', 'true', { options: { exportable: true } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'ImportKey',
    use: {
      args: {
        key_id: 'imported',
        format: 'raw',
        material: Buffer.alloc(32, 7),
        algorithm: 'aes-256',
        usages: ['encrypt', 'derive'],
      },
      options: { exportable: true, store: 'file' },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.import',
        details: {
          key_id: 'imported',
          algorithm: 'aes-256',
          usages: 'encrypt,derive',
          exportable: 'true',
        },
      },
    ],
    others: [
      argument('key_id', 'imported2'),
      argument('algorithm', 'hmac-sha256'),
      ['usages', 'encrypt', { args: { usages: [] } }],
      ['exportable', 'false', { options: { exportable: false } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'ImportKey',
    what: 'in the place of another',
    use: {
      args: {
        key_id: 'replaced',
        format: 'raw',
        material: Buffer.alloc(32, 7),
        algorithm: 'hmac-sha256',
        usages: ['sign', 'derive'],
      },
      options: { export_derived: true, if_exists: 'replace', store: 'file' },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.import',
        details: {
          key_id: 'replaced',
          algorithm: 'hmac-sha256',
          usages: 'sign,derive',
          exportable: 'true',
        },
      },
      { action: 'org.iotedge.keys1.delete', details: { key_id: 'replaced' } },
    ],
    others: [
      argument('key_id', 'replaced2'),
      ['exportable', 'false', { options: { export_derived: false } }],
    ],
    outcome: 'a result',
  },
  {
    service: 'keys',
    method: 'DeleteKey',
    use: { args: { key_id: 'deleted' } },
    requests: [{ action: 'org.iotedge.keys1.delete', details: { key_id: 'deleted' } }],
    others: [argument('key_id', 'deleted2')],
    outcome: 'NotFound',
  },
  keyUse('Sign', {
    mechanism: 'rsa-pss-sha256',
    other: 'rsa-pkcs1-sha256',
    args: { data: bytes('data') },
  }),
  keyUse('Verify', {
    mechanism: 'ecdsa-sha256',
    other: 'ecdsa-sha384',
    args: { data: bytes('data'), signature: bytes('signature') },
  }),
  keyUse('Encrypt', {
    mechanism: 'aes-256-gcm',
    other: 'rsa-oaep-sha256',
    args: { input: bytes('input') },
  }),
  keyUse('Decrypt', {
    mechanism: 'rsa-oaep-sha256',
    other: 'aes-256-gcm',
    args: { input: bytes('input') },
  }),
  {
    service: 'keys',
    method: 'ExportKey',
    use: {
      args: { key_id: 'exported', format: 'raw' },
      options: { derivation: bytes('web') },
    },
    requests: [
      {
        action: 'org.iotedge.keys1.export',
        details: { key_id: 'exported', format: 'raw', derivation: 'web' },
      },
    ],
    others: [
      argument('key_id', 'exported2'),
      argument('format', 'pkcs8'),
      ['derivation', '', { options: { derivation: undefined } }],
    ],
    outcome: 'NotFound',
  },
];
