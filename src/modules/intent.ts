import { describeError, ServiceError } from '../errors.ts';
import type { Log } from '../service/log.ts';
import type { Goal } from './goal.ts';
import { Operation, type Request } from './operation.ts';

/** What an intent is kept with. */
export interface IntentOptions {
  readonly name: string;
  readonly goal: Goal;
  /** Writes the goal down; what is done next relies on it. */
  readonly saveGoal: (goal: Goal) => Promise<void>;
  readonly onGoal: (goal: Goal) => void;
  readonly log: Log;
}

/** A change that was accepted, or that another one has joined. */
export interface Accepted {
  /** Settles when the change has ended. */
  readonly done: Promise<void>;
  readonly joined: boolean;
}

/** What shall become of a module: its goal, and the change of it that is under way. */
export class Intent {
  readonly #options: IntentOptions;
  #goal: Goal;
  #operation: Operation | undefined;
  #failed = false;
  #isClosed = false;

  constructor(options: IntentOptions) {
    this.#options = options;
    this.#goal = options.goal;
  }

  get goal(): Goal {
    return this.#goal;
  }

  /** What somebody asked for and is not done yet. */
  get request(): Request | undefined {
    return this.#operation?.request;
  }

  /** Why the change that is under way was cancelled, undefined when it was not. */
  get cancelled(): ServiceError | undefined {
    return this.#operation?.cancelled;
  }

  /** Whether the goal goes back when the change that is under way fails. */
  get reverts(): boolean {
    return this.#operation?.reverts === true;
  }

  /** Whether the last change failed. */
  get failed(): boolean {
    return this.#failed;
  }

  /**
   * Resolves when the change is written down. Unavailable while another one is under way, NotFound when the
   * module is gone.
   */
  async accept(request: Request): Promise<Accepted> {
    const name = JSON.stringify(this.#options.name);
    if (this.#isClosed) throw new ServiceError('NotFound', `no module ${name}`);
    const current = this.#operation;
    if (current !== undefined) {
      if (current.request.verb === request.verb) return { done: current.done, joined: true };
      const text = `${current.request.verb} of module ${name} is under way`;
      throw new ServiceError('Unavailable', text);
    }
    const operation = new Operation(request, this.#goal);
    this.#operation = operation;
    try {
      await this.set(request.goal);
    } catch (error) {
      this.#operation = undefined;
      operation.fail(error);
      throw error;
    }
    operation.accepted = true;
    this.#failed = false;
    return { done: operation.done, joined: false };
  }

  /** The change that is under way is to end with Cancelled; NotFound when there is none. */
  cancel(): void {
    const { name } = this.#options;
    if (this.#operation === undefined) {
      const text = `nothing is under way for module ${JSON.stringify(name)}`;
      throw new ServiceError('NotFound', text);
    }
    this.#operation.cancel(name);
  }

  /** Goes on to another goal, written down first. */
  async set(goal: Goal): Promise<void> {
    await this.#options.saveGoal(goal);
    this.#goal = goal;
    this.#options.onGoal(goal);
  }

  /** The change that is under way, if there is one, is done. */
  succeed(): void {
    if (this.#operation?.accepted !== true) return;
    this.#operation.succeed();
    this.#operation = undefined;
  }

  /** The change that is under way, if there is one, has failed. Never rejects. */
  async fail(error: unknown): Promise<void> {
    const operation = this.#operation;
    if (operation?.accepted !== true) return;
    this.#operation = undefined;
    this.#failed = true;
    try {
      if (operation.reverts) await this.set(operation.previous);
    } catch (cause) {
      const { log, name } = this.#options;
      log.error('goal not written', { module: name, error: describeError(cause) });
    }
    operation.fail(error);
  }

  /** Takes no further changes; false when somebody is just asking for one. */
  close(): boolean {
    if (this.#operation?.accepted === false) return false;
    this.#isClosed = true;
    return true;
  }

  /** Nothing more will be done here. */
  stop(): void {
    this.#operation?.fail(new ServiceError('Cancelled', 'the service is stopping'));
  }
}
