// The parts of dbus-next's message model that are used here; its own types describe its index only.
declare module 'dbus-next/lib/variant.js' {
  export class Variant {
    constructor(signature: string, value: unknown);
    readonly signature: string;
    readonly value: unknown;
  }
}

declare module 'dbus-next/lib/message-type.js' {
  export interface MessageFields {
    type?: number;
    serial?: number;
    destination?: string | undefined;
    path?: string | undefined;
    interface?: string | undefined;
    member?: string | undefined;
    errorName?: string | undefined;
    replySerial?: number | undefined;
    sender?: string | undefined;
    signature?: string | undefined;
    body?: readonly unknown[] | undefined;
    flags?: number | undefined;
  }
  export class Message {
    constructor(fields: MessageFields);
    type: number;
    serial: number;
    destination: string | undefined;
    path: string | undefined;
    interface: string | undefined;
    member: string | undefined;
    errorName: string | undefined;
    replySerial: number | undefined;
    sender: string | undefined;
    signature: string;
    body: readonly unknown[];
    flags: number;
  }
}

declare module 'dbus-next/lib/validators.js' {
  export function isBusNameValid(name: string): boolean;
  export function isObjectPathValid(path: string): boolean;
  export function isInterfaceNameValid(name: string): boolean;
  export function isMemberNameValid(name: string): boolean;
}
