import { describeError } from '../../errors.ts';
import type { SourceFile } from './config-files.ts';
import type { SettingPath } from './config-problem.ts';

/** The sources of a configuration for its parser, which reports problems here. */
export interface ParseContext {
  /** Every file that was read, in order. */
  readonly sources: readonly SourceFile[];
  /** Adds a problem for each key and value that is invalid in its file, even if a later file overrides it. */
  reportTexts(isWrong: (text: string, source: SourceFile) => boolean, message: string): void;
  /** Adds a problem at the position of the setting, or of the nearest setting around it. */
  report(path: SettingPath, message: string): void;
  /** Adds a warning for a file, which is valid but may be a mistake. */
  warn(source: SourceFile, message: string): void;
  /** Adds a warning for a setting. */
  warnAt(path: SettingPath, message: string): void;
}

/** The parsed setting; undefined when `parse` throws, which adds a problem at the setting. */
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
