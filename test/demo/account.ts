/** Tells what happens, step by step, in a form that a person reads on a terminal. */
export class Account {
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void = (text) => void process.stdout.write(text)) {
    this.#write = write;
  }

  /** Begins a step of the main job. */
  step(number: number, title: string): void {
    this.#write(`\n${number}  ${title}\n\n`);
  }

  /** Something that has happened. */
  say(text: string): void {
    this.#write(`${text}\n`.replaceAll(/^(?=.)/gm, '   '));
  }

  /** A command that the reader can run now. */
  tryThis(command: string): void {
    this.#write(`   $ ${command}\n`);
  }
}
