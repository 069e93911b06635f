import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface, type InterfaceDefinition } from '../../../src/dbus/definition.ts';
import { standardInterfaces } from '../../../src/dbus/introspect.ts';
import {
  certificateInterface,
  certificatesInterface,
} from '../../../src/interfaces/certificates.ts';
import { identityInterface, moduleIdentityInterface } from '../../../src/interfaces/identity.ts';
import { keyInterface, keysInterface } from '../../../src/interfaces/keys.ts';
import { moduleInterface, modulesInterface } from '../../../src/interfaces/modules.ts';

const test = suite('names in the interface tables');
const interfaces: readonly InterfaceDefinition[] = [
  keysInterface,
  keyInterface,
  certificatesInterface,
  certificateInterface,
  identityInterface,
  moduleIdentityInterface,
  modulesInterface,
  moduleInterface,
];

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Keywords, reserved words and literals: generated code with a member `import` for `Import` does not compile. */
const python = words(`
  False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield`);
const otherKeywords = {
  cpp: `alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class
    compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default
    delete do double dynamic_cast else enum explicit export extern false float for friend goto if import inline int
    long module mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile
    wchar_t while xor xor_eq`,
  java: `abstract assert boolean break byte case catch char class const continue default do double else enum extends
    final finally float for goto if implements import instanceof int interface long native new package private
    protected public return short static strictfp super switch synchronized this throw throws transient try void
    volatile while true false null record sealed permits var yield`,
  rust: `as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move
    mut pub ref return self static struct super trait true type unsafe use where while abstract become box do final
    gen macro override priv try typeof unsized virtual yield union`,
  go: `break case chan const continue default defer else fallthrough for func go goto if import interface map package
    range return select struct switch type var nil true false`,
  javascript: `arguments await break case catch class const continue debugger default delete do else enum eval export
    extends false finally for function if implements import in instanceof interface let new null package private
    protected public return static super switch this throw true try typeof undefined var void while with yield`,
};
const keywords = new Set([...python, ...Object.values(otherKeywords).flatMap(words)]);

/** Methods and signals that proxies of every object have. */
const standardMembers = new Set(
  Object.values(standardInterfaces).flatMap((xml) =>
    [...xml.matchAll(/<(?:method|signal) name="(\w+)"/g)].map(([, name = '']) => name),
  ),
);

/** Members as generators spell them in snake case: `create_key_pair`. */
function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
}

/** The invalid names of an interface. */
function mistakes({ name, methods = {}, properties = {}, signals = {} }: InterfaceDefinition) {
  const verbs = [...Object.keys(methods), ...Object.keys(signals)];
  const members = [...verbs, ...Object.keys(properties)].map(snakeCase);
  const fields = [
    ...Object.values(methods).flatMap((method) => [method.in, method.out]),
    ...Object.values(signals).map(({ args }) => args),
  ].flatMap((one) => Object.keys(one ?? {}));
  return [
    ...verbs.filter((verb) => keywords.has(verb) || keywords.has(snakeCase(verb))),
    ...verbs.filter((verb) => standardMembers.has(verb)),
    ...fields.filter((field) => python.includes(field)),
    ...members.filter((member, at) => members.indexOf(member) !== at),
  ].map((mistake) => `${name}: ${mistake}`);
}

test('are neither keywords of languages with generators nor members of standard interfaces', () => {
  assert.equal(interfaces.flatMap(mistakes), []);
});

test('would be detected otherwise', () => {
  const authorize = 'public';
  const odd = defineInterface({
    name: 'odd',
    doc: '',
    methods: {
      Import: { doc: '', authorize },
      Delete: { doc: '', authorize },
      Move: { doc: '', authorize },
      None: { doc: '', authorize },
      Select: { doc: '', authorize },
      Get: { doc: '', authorize },
      GetManagedObjects: { doc: '', authorize },
      CreateDoor: { doc: '', in: { from: 's' }, out: { class: 's' }, authorize },
    },
    properties: {
      Createdoor: { type: 's', emits: 'true', doc: '' },
      create_door: { type: 's', emits: 'true', doc: '' },
    },
    signals: { Ping: { doc: '' }, Await: { doc: '', args: { lambda: 's' } } },
  });
  const found = ['Import', 'Delete', 'Move', 'None', 'Select', 'Await', 'Get', 'GetManagedObjects'];
  const expected = [...found, 'Ping', 'from', 'class', 'lambda', 'create_door'];
  assert.equal(
    mistakes(odd),
    expected.map((name) => `odd: ${name}`),
  );
});

test('are known for every standard interface', () => {
  const expected = ['Ping', 'GetMachineId', 'Introspect', 'Get', 'GetAll', 'Set'];
  for (const name of [
    ...expected,
    'PropertiesChanged',
    'GetManagedObjects',
    'InterfacesAdded',
    'InterfacesRemoved',
  ])
    assert.ok(standardMembers.has(name), name);
});

test.run();
