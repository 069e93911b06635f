import type { Result } from '../result.ts';
import { issues } from './issue.ts';
import { manies } from './many.ts';

const parts = { issue: issues, many: manies } as const;

/** The Certificates service: Issue from a local CA, and a thousand certificates. */
export async function certificates(
  rounds = 9,
  ...only: readonly string[]
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const [name, measure] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue;
    results.push(...(await measure(rounds)));
  }
  return results;
}
