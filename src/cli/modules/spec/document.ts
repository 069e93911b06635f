import { ServiceError } from '../../../errors.ts';
import type { ConfigNode } from '../../../service/config/yaml.ts';
import { type CommandContext, textOption } from '../../command.ts';
import { readInput } from './input.ts';
import type { ModuleSpec } from './spec.ts';
import { specIn } from './spec-file.ts';
import { readText } from './spec-options.ts';

/** The module in the file that `--file` names; undefined without that option. */
export async function fileSpec(
  context: Pick<CommandContext, 'options'>,
  name: string,
): Promise<ModuleSpec | undefined> {
  const file = textOption(context, 'file');
  if (file === undefined) return undefined;
  const text = file === '-' ? await readInput() : readText(file, 'the module');
  const shown = file === '-' ? 'standard input' : file;
  const document = await parseDocument(text, shown);
  try {
    return specIn(document, name);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ServiceError(error.code, `${shown}: ${error.message}`);
  }
}

/** A JSON or YAML document, with numbers of environments as they are written. */
async function parseDocument(bytes: string, file: string): Promise<unknown> {
  const text = bytes.replace(/^\ufeff/, '');
  const { parseYaml } = await import('../../configuration/check.ts'); // other verbs start without it
  const { node, problems } = parseYaml(text, file);
  const [problem] = problems;
  if (problem === undefined) return node && valueOf(node, false);
  const json = parsedJson(text); // with tabs, which YAML refuses
  if (json !== undefined) return json;
  const place = `${file}:${problem.line}:${problem.column}`;
  throw new ServiceError('InvalidArgs', `${place}: ${problem.message}`);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the problem that YAML has with it is reported
  }
}

function valueOf(node: ConfigNode, isText: boolean): unknown {
  switch (node.kind) {
    case 'scalar':
      return isText && node.value !== null ? node.text : node.value;
    case 'list':
      return node.items.map((item) => valueOf(item, isText));
    case 'map':
      return Object.fromEntries(
        [...node.entries].map(([key, entry]) => [
          key,
          valueOf(entry.node, isText || key === 'env'),
        ]),
      );
  }
}
