/** The values of PKCS#11 in messages, in the shapes of pkcs11js. */
import { MalformedMessage } from './bytes.ts';
import { CK_PARAMS } from './constants.ts';
import { bytes, type Field, flag, list, optional, struct, text, textOf, ulong } from './fields.ts';

/** A CK_ULONG in the byte order of the machine: a slot, an object. */
export type Handle = Buffer;

export interface Attribute {
  readonly type: number;
  readonly value: boolean | number | string | Buffer;
}

export type Template = readonly Attribute[];

export interface PssParameter {
  readonly type: typeof CK_PARAMS.RSA_PSS;
  readonly hashAlg: number;
  readonly mgf: number;
  readonly saltLen: number;
}

export interface GcmParameter {
  readonly type: typeof CK_PARAMS.AES_GCM;
  readonly iv: Buffer;
  readonly ivBits: number;
  readonly aad: Buffer;
  readonly tagBits: number;
}

export interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: PssParameter | GcmParameter | undefined;
}

/** CK_TOKEN_INFO, as far as it is used. Texts are padded. */
export interface TokenInfo {
  readonly label: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly flags: number;
  readonly maxSessionCount: number;
  readonly maxRwSessionCount: number;
}

const longestHandle = 8;

export const handle: Field<Handle> = {
  write: bytes.write,
  read: (reader) => {
    const value = bytes.read(reader);
    if (value.length > longestHandle) throw new MalformedMessage('no handle');
    return value;
  },
};

const valueKinds = { boolean: 0, number: 1, string: 2, bytes: 3 } as const;

const attributeValue: Field<Attribute['value']> = {
  write: (writer, value) => {
    if (typeof value === 'boolean') {
      writer.u8(valueKinds.boolean);
      flag.write(writer, value);
    } else if (typeof value === 'number') {
      writer.u8(valueKinds.number);
      ulong.write(writer, value);
    } else if (typeof value === 'string') {
      writer.u8(valueKinds.string);
      text.write(writer, value);
    } else {
      writer.u8(valueKinds.bytes);
      bytes.write(writer, value);
    }
  },
  read: (reader) => {
    const kind = reader.u8();
    switch (kind) {
      case valueKinds.boolean:
        return flag.read(reader);
      case valueKinds.number:
        return ulong.read(reader);
      case valueKinds.string:
        return text.read(reader);
      case valueKinds.bytes:
        return bytes.read(reader);
      default:
        throw new MalformedMessage(`an attribute of kind ${kind}`);
    }
  },
};

export const template: Field<Template> = list(
  struct<Attribute>({ type: ulong, value: attributeValue }),
);

const pss = struct<Omit<PssParameter, 'type'>>({ hashAlg: ulong, mgf: ulong, saltLen: ulong });
const gcm = struct<Omit<GcmParameter, 'type'>>({
  iv: bytes,
  ivBits: ulong,
  aad: bytes,
  tagBits: ulong,
});

const parameter: Field<NonNullable<Mechanism['parameter']>> = {
  write: (writer, value) => {
    writer.u8(value.type);
    if (value.type === CK_PARAMS.RSA_PSS) pss.write(writer, value);
    else gcm.write(writer, value);
  },
  read: (reader) => {
    const type = reader.u8();
    if (type === CK_PARAMS.RSA_PSS) return { type, ...pss.read(reader) };
    if (type === CK_PARAMS.AES_GCM) return { type, ...gcm.read(reader) };
    throw new MalformedMessage(`a mechanism parameter of type ${type}`);
  },
};

export const mechanism: Field<Mechanism> = struct<Mechanism>({
  mechanism: ulong,
  parameter: optional(parameter),
});

/** At most 32 bytes in PKCS#11. */
const shortText = textOf(/^[^]{0,64}$/);

export const tokenInfo: Field<TokenInfo> = struct<TokenInfo>({
  label: shortText,
  manufacturerID: shortText,
  model: shortText,
  serialNumber: shortText,
  flags: ulong,
  maxSessionCount: ulong,
  maxRwSessionCount: ulong,
});
