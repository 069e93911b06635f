import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TokenSessions } from '../../../../../src/keys/pkcs11/library/token-sessions.ts';
import { CKA, CKO } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import type { FoundObject, Query } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import type { Handle, Template } from '../../../../../src/keys/pkcs11/protocol/values.ts';
import { readObjects } from '../../../../../src/keys/pkcs11/reading/token-view.ts';

const test = suite('objects of a token');

type Attributes = Readonly<Record<number, Buffer>>;

const certificates: Template = [
  { type: CKA.CLASS, value: CKO.CERTIFICATE },
  { type: CKA.TOKEN, value: true },
];
const publicKeys: Template = [
  { type: CKA.CLASS, value: CKO.PUBLIC_KEY },
  { type: CKA.TOKEN, value: true },
];
const labelled = (label: string): Template => [...publicKeys, { type: CKA.LABEL, value: label }];
const ulong = (value: number): Buffer => Buffer.from([value, 0, 0, 0, 0, 0, 0, 0]);

/** Sessions with a token that holds these objects, whatever the template but its label; counts the calls. */
function sessionsOf(objects: readonly Attributes[]) {
  const calls: string[] = [];
  const found = ({ template, attributes }: Query): FoundObject[] => {
    const label = template.find(({ type }) => type === CKA.LABEL)?.value;
    return [...objects.entries()]
      .filter(([, object]) => label === undefined || object[CKA.LABEL]?.toString() === label)
      .map(([at, object]) => ({
        handle: Buffer.of(at),
        values: attributes.map((type) => object[type]),
      }));
  };
  const made = {
    find: async (queries: readonly Query[]) => {
      calls.push(`find ${queries.length}`);
      return queries.map(found);
    },
    read: async (handles: readonly Handle[], type: number) => {
      calls.push(`read ${handles.length}`);
      return handles.map(([at]) => objects[at ?? 0]?.[type]);
    },
  };
  return { calls, sessions: made as unknown as TokenSessions }; // the only members in use
}

const [one, two] = ['one', 'two'].map((label) => ({
  [CKA.LABEL]: Buffer.from(label),
  [CKA.ID]: Buffer.from(label),
  [CKA.KEY_TYPE]: ulong(3),
  [CKA.VALUE]: Buffer.from(`the value of ${label}`),
}));
if (one === undefined || two === undefined) throw new Error('there are two');

test('are found with one call, and what they lead to with another', async () => {
  const { calls, sessions } = sessionsOf([one, two]);
  const values = await readObjects(sessions, (view) =>
    ['one', 'two'].flatMap((label) =>
      view.find(labelled(label)).map((object) => view.attribute(object, CKA.VALUE)?.toString()),
    ),
  );
  assert.equal(values, ['the value of one', 'the value of two']);
  assert.equal(calls, ['find 2', 'read 2']);
});

test('are matched without a call once all of their class are known', async () => {
  const { calls, sessions } = sessionsOf([one, two]);
  const by = (type: number, value: string | number | boolean | Buffer) =>
    readObjects(sessions, (view) => {
      if (view.find(publicKeys).length === 0) return [];
      return view.find([...publicKeys, { type, value }]).map(([at]) => at);
    });
  assert.equal(await by(CKA.LABEL, 'two'), [1]);
  assert.equal(await by(CKA.ID, Buffer.from('one')), [0]);
  assert.equal(await by(CKA.KEY_TYPE, 3), [0, 1]);
  assert.equal(await by(CKA.KEY_TYPE, 4), []);
  assert.equal(await by(CKA.LABEL, 'thre'), []);
  assert.equal(await by(CKA.MODULUS, Buffer.from('one')), [], 'they have none');
  assert.equal(
    calls,
    Array.from({ length: 6 }, () => 'find 1'),
  );
});

test('are searched for once when one reading wants all of their class and some', async () => {
  const { calls, sessions } = sessionsOf([one, two]);
  const find = readObjects(sessions, (view) =>
    [publicKeys, labelled('two'), labelled('one')].map((template) => view.find(template).length),
  );
  assert.equal(await find, [2, 1, 1]);
  assert.equal(calls, ['find 1']);
});

test('are looked up in the token by what was not read with their class', async () => {
  const { calls, sessions } = sessionsOf([one]);
  const template: Template = [...certificates, { type: CKA.KEY_TYPE, value: 4 }];
  const find = readObjects(sessions, (view) =>
    view.find(certificates).length === 0 ? [] : view.find(template),
  );
  assert.is((await find).length, 1);
  assert.equal(calls, ['find 1', 'find 1']);
});

test('have no attribute that the token does not reveal, which is read once', async () => {
  const { calls, sessions } = sessionsOf([one]);
  const read = await readObjects(sessions, (view) =>
    view.find(publicKeys).map((object) => view.attribute(object, CKA.SENSITIVE)),
  );
  assert.equal([read, calls], [[undefined], ['find 1', 'read 1']]);
});

test('are read again later when they lead to others without end', async () => {
  const { sessions } = sessionsOf([one]);
  let more = 0;
  const reading = readObjects(sessions, (view) => view.find(labelled(`label ${more++}`)));
  assert.match(String(await reading.catch((error: unknown) => error)), 'reading lost');
});

test.run();
