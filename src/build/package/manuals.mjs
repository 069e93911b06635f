import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../setup.mjs';
import { importCompiled, services } from '../steps/compiled.mjs';

const example = (name) => readFileSync(join(root, 'config-examples', `${name}.yaml`), 'utf8');

/** The manual pages and completions by path below `share`, generated from the build. */
export async function generatedManuals() {
  const { manuals } = await importCompiled('build/manuals/manuals');
  const { helpText } = await importCompiled('service/command-line');
  const examples = Object.fromEntries(services.map((name) => [name, example(name)]));
  return manuals({ helpText, examples });
}
