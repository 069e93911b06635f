import { StringDecoder } from 'node:string_decoder';
import { formatJson } from '../../output.ts';

/** How a log is written. */
export interface LogFormat {
  /** Whether it is shown to a user: what moves the cursor or hides text is replaced then, colours stay. */
  readonly isTerminal: boolean;
  /** One object a line. */
  readonly isJson: boolean;
  /** Whether each line begins with its time. */
  readonly hasTimes: boolean;
}

const escape = String.fromCharCode(0x1b);
const tabOrColour = new RegExp(`\\t|${escape}\\[[0-9;]*m`, 'g');
const controls = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const reset = `${escape}[0m`;

/** Converts the bytes of a log, in pieces of any size, to what is written. */
export class LogOutput {
  readonly #format: LogFormat;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(format: LogFormat) {
    this.#format = format;
  }

  /** What is to be written for a piece; a program gets the bytes as they are. */
  piece(bytes: Buffer): Buffer | string {
    if (!this.#isByLine) return bytes;
    const lines = `${this.#rest}${this.#decoder.write(bytes)}`.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => `${this.#line(line)}\n`).join('');
  }

  /** What is to be written at the end: a line that has none of its own. */
  end(): string {
    const line = `${this.#rest}${this.#decoder.end()}`;
    this.#rest = '';
    return line === '' ? '' : `${this.#line(line)}\n`;
  }

  get #isByLine(): boolean {
    return this.#format.isTerminal || this.#format.isJson;
  }

  #line(text: string): string {
    const line = text.replace(/\r$/, '');
    if (!this.#format.isJson) return harmless(line);
    const at = this.#format.hasTimes ? line.indexOf(' ') : -1;
    const record = at === -1 ? { line } : { time: line.slice(0, at), line: line.slice(at + 1) };
    return formatJson(record, 0);
  }
}

function harmless(line: string): string {
  let isColoured = false;
  let shown = '';
  let from = 0;
  for (const match of line.matchAll(tabOrColour)) {
    isColoured ||= match[0] !== '\t';
    shown += line.slice(from, match.index).replace(controls, '\ufffd') + match[0];
    from = match.index + match[0].length;
  }
  shown += line.slice(from).replace(controls, '\ufffd');
  return isColoured ? `${shown}${reset}` : shown;
}
