import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the units, and of the drop-ins that administrators may copy. */
export const unitsFolder = join(import.meta.dirname, '../../../../systemd-units');

/** A directive of a unit file, with the comment above it. */
export interface Directive {
  readonly name: string;
  readonly value: string;
  readonly comment: string;
}

/** A unit file, or a drop-in, as it stands in the folder. */
export class UnitFile {
  readonly #directives: readonly Directive[];

  constructor(name: string) {
    this.#directives = parse(readFileSync(join(unitsFolder, name), 'utf8'));
  }

  /** All directives, in order. */
  get directives(): readonly Directive[] {
    return this.#directives;
  }

  /** The values of a directive, in order. */
  all(name: string): readonly string[] {
    return this.#directives.filter((one) => one.name === name).map(({ value }) => value);
  }

  /** The value of a directive that occurs once; undefined when it is missing. */
  value(name: string): string | undefined {
    const values = this.all(name);
    if (values.length > 1) throw new Error(`${name}= occurs ${values.length} times`);
    return values[0];
  }
}

function parse(text: string): readonly Directive[] {
  const directives: Directive[] = [];
  let comment = '';
  for (const line of text.split('\n')) {
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) directives.push({ name, value, comment });
    comment = line.startsWith('#') ? `${comment} ${line.slice(1).trim()}`.trim() : '';
  }
  return directives;
}
