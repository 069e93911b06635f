import { type ByteReader, type ByteWriter, MalformedMessage } from './bytes.ts';

/** How a value is written and read. `read` throws MalformedMessage for every form that `write` does not produce. */
export interface Field<T> {
  readonly write: (writer: ByteWriter, value: T) => void;
  readonly read: (reader: ByteReader) => T;
}

/** Nothing. */
export const nothing: Field<void> = { write: () => undefined, read: () => undefined };

export const flag: Field<boolean> = {
  write: (writer, value) => writer.u8(value ? 1 : 0),
  read: (reader) => {
    const value = reader.u8();
    if (value > 1) throw new MalformedMessage(`a flag of ${value}`);
    return value === 1;
  },
};

export const u32: Field<number> = {
  write: (writer, value) => writer.u32(value),
  read: (reader) => reader.u32(),
};

/** A CK_ULONG as pkcs11js has it. CK_UNAVAILABLE_INFORMATION is not exact, but far beyond every other value. */
export const ulong: Field<number> = {
  write: (writer, value) => writer.f64(value),
  read: (reader) => {
    const value = reader.f64();
    if (!Number.isInteger(value) || value < 0) throw new MalformedMessage('no CK_ULONG');
    return value;
  },
};

export const bytes: Field<Buffer> = {
  write: (writer, value) => writer.bytes(value),
  read: (reader) => reader.bytes(),
};

export const text: Field<string> = {
  write: (writer, value) => writer.bytes(Buffer.from(value)),
  read: (reader) => reader.bytes().toString('utf8'),
};

/** Text of a form, such as the name of an error. */
export function textOf(form: RegExp): Field<string> {
  return {
    write: text.write,
    read: (reader) => {
      const value = text.read(reader);
      if (!form.test(value)) throw new MalformedMessage(`a text that is not ${form.source}`);
      return value;
    },
  };
}

export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    write: (writer, value) => {
      flag.write(writer, value !== undefined);
      if (value !== undefined) field.write(writer, value);
    },
    read: (reader) => (flag.read(reader) ? field.read(reader) : undefined),
  };
}

export function list<T>(field: Field<T>): Field<readonly T[]> {
  return {
    write: (writer, values) => {
      writer.u32(values.length);
      for (const value of values) field.write(writer, value);
    },
    read: (reader) => {
      const count = reader.count();
      return Array.from({ length: count }, () => field.read(reader));
    },
  };
}

/** An object of fields, in the order of the definition. */
export function struct<T extends object>(
  fields: { readonly [K in keyof T]-?: Field<T[K]> },
): Field<T> {
  // Object.keys loses the type of the keys, and the fields are those of T
  const names = Object.keys(fields) as (keyof T)[];
  return {
    write: (writer, value) => {
      for (const name of names) fields[name].write(writer, value[name]);
    },
    read: (reader) => {
      const value: Partial<T> = {};
      for (const name of names) value[name] = fields[name].read(reader);
      return value as T;
    },
  };
}
