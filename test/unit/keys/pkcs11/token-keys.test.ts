import { generateKeyPairSync } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pointOf } from '../../../../src/keys/material/private-key.ts';
import type { TokenSessions } from '../../../../src/keys/pkcs11/library/token-sessions.ts';
import { CKA, CKK, CKO } from '../../../../src/keys/pkcs11/protocol/constants.ts';
import type { Query } from '../../../../src/keys/pkcs11/protocol/operations.ts';
import type { ProofReading } from '../../../../src/keys/pkcs11/reading/proofs.ts';
import { readObjects } from '../../../../src/keys/pkcs11/reading/token-view.ts';
import { type KeyMetadata, listAll } from '../../../../src/keys/pkcs11/token-keys.ts';

const test = suite('the listing of a token');

type Attributes = Readonly<Record<number, Buffer>>;

const ulong = (value: number): Buffer => Buffer.from([value, 0, 0, 0, 0, 0, 0, 0]);
const point = pointOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
const p256 = Buffer.from('06082a8648ce3d030107', 'hex');

/** A token with these objects, and how often one of them was looked at. */
class CountedToken {
  looks = 0;
  readonly sessions: TokenSessions;

  constructor(objects: readonly Attributes[]) {
    const handles = objects.map((_, at) => this.#handle(at));
    const find = ({ template, attributes }: Query) => {
      const wanted = template.find(({ type }) => type === CKA.CLASS)?.value;
      return handles.flatMap((handle, at) => {
        const object = objects[at];
        if (object?.[CKA.CLASS]?.[0] !== wanted) return [];
        return { handle, values: attributes.map((type) => object?.[type]) };
      });
    };
    const made = {
      find: async (queries: readonly Query[]) => queries.map(find),
      read: async (read: readonly Buffer[], type: number) =>
        read.map((handle) => objects[handle.readUInt16LE()]?.[type]),
    };
    this.sessions = made as unknown as TokenSessions; // the only members in use
  }

  /** A handle that counts: its text is the name of the object. */
  #handle(at: number): Buffer {
    const handle = Buffer.alloc(8);
    handle.writeUInt16LE(at);
    const text = handle.toString('hex');
    handle.toString = () => {
      this.looks++;
      return text;
    };
    return handle;
  }
}

const pairs: Readonly<Record<string, (at: number) => readonly Attributes[]>> = {
  'EC keys': (at) => {
    const both = { ...nameOf(at), [CKA.KEY_TYPE]: ulong(CKK.EC), [CKA.EC_PARAMS]: p256 };
    return [
      { ...both, [CKA.CLASS]: ulong(CKO.PRIVATE_KEY), [CKA.SIGN]: Buffer.of(1) },
      { ...both, [CKA.CLASS]: ulong(CKO.PUBLIC_KEY), [CKA.EC_POINT]: point },
    ];
  },
  'EC keys of other software, without a label': (at) => {
    const both = {
      [CKA.ID]: Buffer.from(`id ${at}`),
      [CKA.KEY_TYPE]: ulong(CKK.EC),
      [CKA.EC_PARAMS]: p256,
    };
    return [
      { ...both, [CKA.CLASS]: ulong(CKO.PRIVATE_KEY), [CKA.SIGN]: Buffer.of(1) },
      { ...both, [CKA.CLASS]: ulong(CKO.PUBLIC_KEY), [CKA.EC_POINT]: point },
    ];
  },
  'RSA keys whose exponent is in the public key': (at) => {
    const modulus = Buffer.alloc(256, 0xff);
    modulus.writeUInt16LE(at, 100);
    const both = { ...nameOf(at), [CKA.KEY_TYPE]: ulong(CKK.RSA), [CKA.MODULUS]: modulus };
    return [
      { ...both, [CKA.CLASS]: ulong(CKO.PRIVATE_KEY), [CKA.SIGN]: Buffer.of(1) },
      {
        ...both,
        [CKA.CLASS]: ulong(CKO.PUBLIC_KEY),
        [CKA.PUBLIC_EXPONENT]: Buffer.of(1, 0, 1),
      },
    ];
  },
};

function nameOf(at: number): Attributes {
  return { [CKA.LABEL]: Buffer.from(`key-${at}`), [CKA.ID]: Buffer.from(`id ${at}`) };
}

/** How often an object is looked at while this many keys are listed. */
async function looksOf(count: number, pair: (at: number) => readonly Attributes[]) {
  const token = new CountedToken(Array.from({ length: count }, (_, at) => pair(at)).flat());
  const records = { get: () => undefined, damage: () => undefined, damaged: new Map() };
  const metadata = { records, usages: new Map(), reserved: () => undefined };
  const proofs: ProofReading = {
    choose: (_key, { halves: [half] }) => ({ half }),
    isIncomplete: false,
    complete: async () => undefined,
  };
  const context = { metadata: metadata as unknown as KeyMetadata, proofs }; // the members in use
  const { keys } = await readObjects(token.sessions, (view) => listAll(view, context));
  const shown = keys.filter(({ info }) => info.spki !== undefined).length;
  assert.is(shown, CKA.LABEL in (pair(0)[0] ?? {}) ? count : 0);
  return token.looks;
}

for (const [what, pair] of Object.entries(pairs)) {
  test(`looks at each object equally often, however many there are: ${what}`, async () => {
    const [some, twice] = [await looksOf(50, pair), await looksOf(100, pair)];
    assert.ok(twice <= 2 * some, `${some} for 50 keys, ${twice} for 100`);
  });
}

test.run();
