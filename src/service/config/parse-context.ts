import { describeError } from '../../errors.ts';
import type { SourceFile } from './config-files.ts';
import type { SettingPath } from './config-problem.ts';

/** The sources of a configuration for its parser, and where the parser reports problems. */
export interface ParseContext {
  /** Every file that was read, in order. */
  readonly sources: readonly SourceFile[];
  /** Adds a problem for each key and value that is wrong in its file, also for what a later file overrides. */
  reportTexts(isWrong: (text: string, source: SourceFile) => boolean, message: string): void;
  /** Adds a problem, placed where the setting stands, or the nearest setting around it. */
  report(path: SettingPath, message: string): void;
  /** Says what is not wrong with a file and should be known all the same. */
  warn(source: SourceFile, message: string): void;
  /** The same of a setting. */
  warnAt(path: SettingPath, message: string): void;
}

/** The parsed setting; undefined, and a problem where the setting stands, when `parse` throws. */
export function parseAt<T>(
  { report }: Pick<ParseContext, 'report'>,
  path: SettingPath,
  parse: () => T,
): T | undefined {
  try {
    return parse();
  } catch (error) {
    report(path, describeError(error));
    return undefined;
  }
}
