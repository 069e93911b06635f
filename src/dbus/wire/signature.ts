import { quoted } from '../../quoted.ts';

/** One complete type of a signature, parsed. */
export type Type =
  | { readonly code: BasicCode }
  | { readonly code: 'v' }
  | { readonly code: 'ay' }
  | { readonly code: 'a'; readonly element: Type }
  | { readonly code: 'a{'; readonly key: Type; readonly value: Type }
  | { readonly code: '('; readonly members: readonly Type[] };

type BasicCode = 'y' | 'b' | 'n' | 'q' | 'i' | 'u' | 'x' | 't' | 'd' | 's' | 'o' | 'g' | 'h';

const basicCodes = 'ybnqiuxtdsogh';
const maxLength = 255;
const maxArrays = 32;
const maxStructs = 32;

/** The alignment of a complete type, in bytes. */
export function alignmentOf(type: Type): number {
  switch (type.code) {
    case 'y':
    case 'g':
    case 'v':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
      return 8;
    default:
      return 4;
  }
}

/** The complete types of a signature; TypeError when it is not one (D-Bus specification, Type System). */
export function parseSignature(signature: string): readonly Type[] {
  if (signature.length > maxLength) throw new TypeError('signature longer than 255 characters');
  const parser = new Parser(signature);
  const types: Type[] = [];
  while (!parser.done) types.push(parser.type(0, 0));
  return types;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  type(arrays: number, structs: number): Type {
    const code = this.#text[this.#at++];
    if (code === 'a') return this.#array(arrays + 1, structs);
    if (code === '(') return this.#struct(arrays, structs + 1);
    if (code === 'v') return { code };
    return { code: this.#basic(code) };
  }

  #array(arrays: number, structs: number): Type {
    if (arrays > maxArrays) this.#refuse('nested too deeply');
    const next = this.#text[this.#at];
    if (next === 'y') {
      this.#at++;
      return { code: 'ay' };
    }
    if (next !== '{') return { code: 'a', element: this.type(arrays, structs) };
    this.#at++;
    if (structs + 1 > maxStructs) this.#refuse('nested too deeply');
    const key: Type = { code: this.#basic(this.#text[this.#at++]) };
    const value = this.type(arrays, structs + 1);
    if (this.#text[this.#at++] !== '}') this.#refuse('a dictionary entry has two types');
    return { code: 'a{', key, value };
  }

  #struct(arrays: number, structs: number): Type {
    if (structs > maxStructs) this.#refuse('nested too deeply');
    const members: Type[] = [];
    while (this.#text[this.#at] !== ')') members.push(this.type(arrays, structs));
    this.#at++;
    if (members.length === 0) this.#refuse('an empty structure');
    return { code: '(', members };
  }

  #basic(code: string | undefined): BasicCode {
    if (code === undefined || !basicCodes.includes(code)) {
      this.#refuse(code === undefined ? 'incomplete' : `unknown type ${JSON.stringify(code)}`);
    }
    return code as BasicCode; // one of basicCodes, as just seen
  }

  #refuse(why: string): never {
    throw new TypeError(`signature ${quoted(this.#text)}: ${why}`);
  }
}
