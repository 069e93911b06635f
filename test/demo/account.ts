/** Prints the steps of the demonstration for a reader at a terminal. */
export class Account {
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void = (text) => void process.stdout.write(text)) {
    this.#write = write;
  }

  step(number: number, title: string): void {
    this.#write(`\n${number}  ${title}\n\n`);
  }

  print(text: string): void {
    this.#write(`${text}\n`.replaceAll(/^(?=.)/gm, '   '));
  }

  /** Prints a command that the reader can run now. */
  tryThis(command: string): void {
    this.#write(`   $ ${command}\n`);
  }
}
