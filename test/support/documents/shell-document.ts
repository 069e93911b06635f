/** A block of shell commands of a document, and the lines among their output that the document shows. */
export interface Step {
  /** The name of the document. */
  readonly document: string;
  /** The heading above, without its marks. */
  readonly section: string;
  readonly line: number;
  readonly commands: string;
  readonly output: string | undefined;
}

interface Block {
  readonly section: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** The steps of a Markdown document: blocks of `sh`; a block of `text` is what the one before prints. */
export function stepsOf(document: string, markdown: string): readonly Step[] {
  const blocks = blocksOf(markdown);
  const strange = blocks.find(({ language }) => language !== 'sh' && language !== 'text');
  if (strange !== undefined)
    throw new Error(`line ${strange.line}: a block of ${strange.language}`);
  return blocks.flatMap(({ language, text, ...place }, index) => {
    const next = blocks[index + 1];
    if (language !== 'sh') return [];
    const output = next?.language === 'text' ? next.text : undefined;
    return [{ document, ...place, commands: text, output }];
  });
}

function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  let section = '';
  let open: (Omit<Block, 'text'> & { lines: string[] }) | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    if (open === undefined) {
      section = /^#+ (.*)$/.exec(text)?.[1] ?? section;
      const language = /^```(.*)$/.exec(text)?.[1];
      if (language !== undefined) open = { section, line: index + 1, language, lines: [] };
    } else if (text === '```') {
      const { lines, ...block } = open;
      blocks.push({ ...block, text: lines.join('\n') });
      open = undefined;
    } else {
      open.lines.push(text);
    }
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the block has no end`);
  return blocks;
}

/** Replaces assignments of variables that are the reader's; each must be in the document once. */
export function withValues(markdown: string, values: Readonly<Record<string, string>>): string {
  let text = markdown;
  for (const [name, value] of Object.entries(values)) {
    const assignment = new RegExp(`^${name}=.*$`, 'gm');
    const count = (text.match(assignment) ?? []).length;
    if (count !== 1) throw new Error(`${name} is assigned ${count} times`);
    text = text.replace(assignment, () => `${name}=${value}`);
  }
  return text;
}

/** Whether the lines that a document shows are printed, together: `…` is any text; the width of columns does not count. */
export function showsOutput(printed: string, shown: string): boolean {
  const lines = linesOf(printed);
  const patterns = linesOf(shown).map(patternOf);
  return lines.some((_, start) =>
    patterns.every((pattern, index) => pattern.test(lines[start + index] ?? '')),
  );
}

function linesOf(text: string): readonly string[] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '));
}

function patternOf(line: string): RegExp {
  const parts = line.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
