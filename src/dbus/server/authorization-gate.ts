import type { CallContext } from './call.ts';
import type { AuthorizationRequest } from './method.ts';

/** Decides about calls: returns undefined for a yes at once; throws or rejects to refuse. */
export interface Authorizer {
  authorize(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined;
}

/** Is notified of each decision: no error is a yes. */
export type DecisionListener = (
  call: CallContext,
  request: AuthorizationRequest,
  error: unknown,
) => void;

/** Puts the requests about a call, in order, to an authorizer. */
export class AuthorizationGate {
  readonly #authorizer: Authorizer;
  readonly #decided: DecisionListener;

  constructor(authorizer: Authorizer, decided: DecisionListener) {
    this.#authorizer = authorizer;
    this.#decided = decided;
  }

  /** Undefined when every answer was a yes at once; throws or rejects with the first no. */
  ask(requests: readonly AuthorizationRequest[], call: CallContext): Promise<void> | undefined {
    for (const [at, request] of requests.entries()) {
      const answer = this.#askOne(request, call);
      if (answer === undefined) continue;
      const rest = requests.slice(at + 1);
      return answer.then(() => this.ask(rest, call));
    }
    return undefined;
  }

  #askOne(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined {
    const refused = (error: unknown): never => {
      this.#decided(call, request, error);
      throw error;
    };
    try {
      const answer = this.#authorizer.authorize(request, call);
      if (answer !== undefined) {
        return answer.then(() => this.#decided(call, request, undefined), refused);
      }
    } catch (error) {
      return refused(error);
    }
    this.#decided(call, request, undefined);
    return undefined;
  }
}
