import fc from 'fast-check';

/** Every run tries the same values, unless `IOTEDGE_TEST_SEED` is set. */
const seed = Number(process.env['IOTEDGE_TEST_SEED'] ?? 20_261_127);
const soakFactor = 100;

/** Whether a run tries everything that a test can, and not a sample. */
export const isSoak = (process.env['IOTEDGE_TEST_SOAK'] ?? '') !== '';

/** The number of values to try: the given count, or 100 times as many when `IOTEDGE_TEST_SOAK` is set. */
export function runs(count: number): number {
  return isSoak ? count * soakFactor : count;
}

/**
 * Tries a property with `runs(count)` values. A failure names the seed, the smallest counterexample that was found, and
 * its cause.
 */
export function holds<T>(property: fc.IProperty<T>, count: number): void {
  fc.assert(property, { seed, numRuns: runs(count), includeErrorInReport: true });
}

/** As `holds`, for an asynchronous property. */
export async function holdsAsync<T>(property: fc.IAsyncProperty<T>, count: number): Promise<void> {
  await fc.assert(property, { seed, numRuns: runs(count), includeErrorInReport: true });
}
