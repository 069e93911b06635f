import { exitCodes } from '../../cli/command.ts';
import { section, terms } from './roff.ts';

/** The section about exit statuses, with what each means. */
export function exitStatusSection(
  meanings: Readonly<Partial<Record<keyof typeof exitCodes, string>>>,
): string {
  const byName = new Map(Object.entries(meanings));
  const entries = Object.entries(exitCodes).flatMap(([name, code]) => {
    const meaning = byName.get(name);
    return meaning === undefined ? [] : [[String(code), meaning] as const];
  });
  return section('EXIT STATUS', terms(entries));
}
