import { STATUS_CODES } from 'node:http';
import { withoutSecrets } from '../../quoted.ts';

/**
 * The messages and codes of an error response. Services use many forms: `Message` and `ExceptionMessage`, `message` and
 * `errorCode`, JSON in a JSON string, `{error: {code, message}}`, a header, the HTML page of a proxy. All of it is
 * untrusted text, and so is truncated and stripped of control characters and secrets.
 */
export interface ServiceWords {
  readonly messages: readonly string[];
  /** Empty when there is none, like the tracking id. */
  readonly errorCode: string;
  readonly trackingId: string;
}

/** The parts of a response that are searched. */
export interface Spoken {
  readonly status: number;
  readonly body?: unknown;
  /** The text of a body that is not JSON. */
  readonly text?: string | undefined;
  /** The code in a header. */
  readonly errorCode?: string | undefined;
}

const maxWords = 200;
const maxMessages = 3;
/** More values are ignored. */
const maxValues = 256;
/** The rest of a page is ignored. */
const maxPage = 16 << 10;

const messageNames: ReadonlySet<string> = new Set([
  'message',
  'exceptionmessage',
  'errormessage',
  'errordescription',
]);
const codeNames: ReadonlySet<string> = new Set(['errorcode', 'code']);

/** Extracts the messages and codes of a response; those of the outermost object win. */
export function wordsOf({ body, text, errorCode }: Spoken): ServiceWords {
  const found = new Search().run(body);
  if (text !== undefined && text !== '') found.add('message', text);
  if (errorCode !== undefined) found.add('errorcode', errorCode);
  return found;
}

/** Whether they add nothing to the status. */
export function areEmpty({ messages, errorCode }: ServiceWords, status: number): boolean {
  const phrase = (STATUS_CODES[status] ?? '').toLowerCase();
  const plain = (message: string): string => message.toLowerCase().replace(/[.!]$/, '');
  return errorCode === '' && messages.every((message) => plain(message) === phrase);
}

/** One text of the messages, then the codes that they do not contain. */
export function joinWords({ messages, errorCode, trackingId }: ServiceWords): string {
  const joined = messages.join('; ');
  const parts = [
    joined,
    errorCode !== '' && !joined.includes(errorCode) ? `error ${errorCode}` : '',
    trackingId !== '' && !joined.includes(trackingId) ? `tracking id ${trackingId}` : '',
  ];
  return parts.filter((part) => part !== '').join('; ');
}

/** Untrusted text in one line, without control characters and secrets, truncated. */
export function inOneLine(text: string): string {
  const line = withoutSecrets(text.replace(/[\p{C}\p{Z}\s]+/gu, ' ').trim());
  return line.length > maxWords ? `${line.slice(0, maxWords)}…` : line;
}

/** Parses a body as JSON, else as the text of an HTML page. */
export function readContent(bytes: Uint8Array): { readonly body: unknown; readonly text?: string } {
  // JSON forbids control characters in strings, and those between tokens are whitespace
  const text = decode(bytes).replace(/\p{Cc}/gu, ' ');
  try {
    return { body: JSON.parse(text) };
  } catch {
    return { body: undefined, text: textOfPage(text) };
  }
}

/** Decodes by the byte order mark, else as UTF-8 with replacement characters. */
function decode(bytes: Uint8Array): string {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(utf16 ? 'utf-16le' : 'utf-8').decode(bytes);
}

/** The text of a page without its markup. */
function textOfPage(page: string): string {
  return page
    .slice(0, maxPage)
    .replace(/<(script|style)\b[^<]*(?:<\/\1[^>]*(?:>|$)|$)/gi, ' ')
    .replace(/<[^>]*(?:>|$)/g, ' ')
    .replace(/&(?:nbsp|#160);/g, ' ');
}

/** Searches all values breadth first, so that outer ones win. */
class Search implements ServiceWords {
  readonly messages: string[] = [];
  errorCode = '';
  trackingId = '';

  run(body: unknown): this {
    const queue: [name: string, value: unknown][] = [['message', body]];
    for (let at = 0; at < Math.min(queue.length, maxValues); at++) {
      const [name, value] = queue[at] ?? [];
      const inner = insideOf(value);
      if (inner !== undefined) queue.push(...inner.map((one) => nameIn(name, one)));
      else this.add(name ?? '', value);
    }
    return this;
  }

  add(name: string, value: unknown): void {
    if (typeof value !== 'string' && typeof value !== 'number') return;
    const words = inOneLine(String(value));
    if (words === '') return;
    if (codeNames.has(name)) this.errorCode ||= words;
    else if (name === 'trackingid') this.trackingId ||= words;
    else if (messageNames.has(name) && this.messages.length < maxMessages) {
      if (!this.messages.includes(words)) this.messages.push(words);
    }
  }
}

/** The entries of an object, a list, or a JSON string; undefined for a plain value. */
function insideOf(value: unknown): readonly (readonly [string, unknown])[] | undefined {
  const object: unknown = typeof value === 'string' ? parseObject(value) : value;
  if (typeof object !== 'object' || object === null) return undefined;
  return Object.entries(object).slice(0, maxValues);
}

/** A name without case and separators; elements of a list have the name of the list. */
function nameIn(outer: string | undefined, [name, value]: readonly [string, unknown]) {
  const plain = /^\d+$/.test(name) ? (outer ?? '') : name.toLowerCase().replace(/[-_ ]/g, '');
  return [plain, value] as [string, unknown];
}

function parseObject(text: string): unknown {
  if (!/^\s*[{["]/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' && value !== text ? parseObject(value) : value;
  } catch {
    return undefined; // text that only begins with a bracket
  }
}
