import type { CallContext } from './call.ts';
import type { Question } from './method.ts';

/** Decides about calls. Answers at once, with undefined, when it need not ask; throws or rejects to refuse. */
export interface Authorizer {
  authorize(question: Question, call: CallContext): Promise<void> | undefined;
}

/** Is notified of each decision: no error is a yes. */
export type DecisionListener = (call: CallContext, question: Question, error: unknown) => void;

/** Puts the questions about a call, in order, to an authorizer. */
export class Decision {
  readonly #authorizer: Authorizer;
  readonly #decided: DecisionListener;

  constructor(authorizer: Authorizer, decided: DecisionListener) {
    this.#authorizer = authorizer;
    this.#decided = decided;
  }

  /** Undefined when every answer was a yes at once; throws or rejects with the first no. */
  ask(questions: readonly Question[], call: CallContext): Promise<void> | undefined {
    for (const [at, question] of questions.entries()) {
      const answer = this.#askOne(question, call);
      if (answer === undefined) continue;
      const rest = questions.slice(at + 1);
      return answer.then(() => this.ask(rest, call));
    }
    return undefined;
  }

  #askOne(question: Question, call: CallContext): Promise<void> | undefined {
    const refused = (error: unknown): never => {
      this.#decided(call, question, error);
      throw error;
    };
    try {
      const answer = this.#authorizer.authorize(question, call);
      if (answer !== undefined) {
        return answer.then(() => this.#decided(call, question, undefined), refused);
      }
    } catch (error) {
      return refused(error);
    }
    this.#decided(call, question, undefined);
    return undefined;
  }
}
