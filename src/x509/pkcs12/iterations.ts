import { ServiceError } from '../../errors.ts';
import { malformed } from './elements.ts';

/** Some seconds of work; programs write a few thousand, or some hundred thousand. */
const most = 10_000_000;

/** The iterations that the keys of one file may take together: the file says how many. */
export class IterationBudget {
  #left = most;

  /** Takes iterations; InvalidArgs when there are not so many left. */
  take(iterations: number, digests = 1): void {
    if (iterations < 1) throw malformed();
    this.#left -= iterations * digests;
    if (this.#left < 0) {
      throw new ServiceError('InvalidArgs', `its keys take more than ${most} iterations to derive`);
    }
  }
}
