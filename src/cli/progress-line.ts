import { printable } from './output.ts';

/** A stream that may be a terminal. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Options of a progress line. */
export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Prints a line where the stream is not a terminal. */
  readonly note: (text: string) => void;
  readonly isQuiet: boolean;
}

/** Of a percentage: without a terminal a line is printed once it has grown by so much. */
const quarter = 25;
const clearLine = '\r\x1b[K';

/** Shows how an operation proceeds: on a terminal in one line that is rewritten, elsewhere line by line. */
export class ProgressLine implements Disposable {
  readonly #options: ProgressOptions;
  #shown = '';
  /** Where the stream is not a terminal: the lines so far, by their text before a percentage, with the last one. */
  readonly #noted = new Map<string, number>();

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  show(text: string): void {
    const { stream, note, isQuiet } = this.#options;
    const line = printable(text);
    if (isQuiet || line === this.#shown) return;
    if (stream.isTTY === true) {
      // a line that wraps could not be rewritten; a serial console has 0 columns
      stream.write(`${clearLine}${line.slice(0, (stream.columns || 80) - 1)}`);
    } else if (this.#isNew(line)) note(line);
    else return;
    this.#shown = line;
  }

  /** Removes the line from a terminal: what is printed next stands in its place. */
  clear(): void {
    const { stream } = this.#options;
    if (this.#shown !== '' && stream.isTTY === true) stream.write(clearLine);
    this.#shown = '';
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /** Whether a line has not been noted yet, and is not one with a percentage that has hardly grown. */
  #isNew(line: string): boolean {
    const [, count = 0] = percentage.exec(line) ?? [];
    const text = line.replace(percentage, '');
    const noted = this.#noted.get(text);
    if (noted !== undefined && Number(count) < noted + quarter) return false;
    this.#noted.set(text, Number(count));
    return true;
  }
}

const percentage = /(\d+)%.*$/;
