import fc from 'fast-check';

/** Every run tries the same values, unless `IOTEDGE_TEST_SEED` names another seed. */
const seed = Number(process.env['IOTEDGE_TEST_SEED'] ?? 20_261_127);
const soakFactor = 100;

/** How many values a property is tried with: the number given, and 100 times as many when `IOTEDGE_TEST_SOAK` is set. */
export function runs(count: number): number {
  const soak = process.env['IOTEDGE_TEST_SOAK'] ?? '';
  return soak === '' ? count : count * soakFactor;
}

/**
 * Tries a property with so many values (see `runs`). A failure names the seed, the smallest value found that the
 * property does not hold for, and its cause.
 */
export function holds<T>(property: fc.IProperty<T>, count: number): void {
  fc.assert(property, { seed, numRuns: runs(count), includeErrorInReport: true });
}

/** Tries a property that waits; otherwise as `holds`. */
export async function holdsAsync<T>(property: fc.IAsyncProperty<T>, count: number): Promise<void> {
  await fc.assert(property, { seed, numRuns: runs(count), includeErrorInReport: true });
}
