/** Work that is done at once or later: a promise would delay the signatures of fast keys. */
export type Work<R> = () => R | Promise<R>;

/** Does work and then calls `done`, with the error if there is one. */
export function after<R>(work: Work<R>, done: (error?: unknown) => void): R | Promise<R> {
  let result: R | Promise<R>;
  try {
    result = work();
  } catch (error) {
    done(error);
    throw error;
  }
  if (result instanceof Promise) return afterAll(result, done);
  done();
  return result;
}

async function afterAll<R>(running: Promise<R>, done: (error?: unknown) => void): Promise<R> {
  try {
    const result = await running;
    done();
    return result;
  } catch (error) {
    done(error);
    throw error;
  }
}
