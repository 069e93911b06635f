import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../setup.mjs';
import { importCompiled, services } from '../steps/compiled.mjs';

/** Writes the manual pages and completions, which are generated from the build, into dist/share. */
export async function writeManuals() {
  const { manuals } = await importCompiled('build/manuals/manuals');
  const { helpText } = await importCompiled('service/command-line');
  const examples = Object.fromEntries(
    services.map((name) => [
      name,
      readFileSync(join(root, 'config-examples', `${name}.yaml`), 'utf8'),
    ]),
  );
  const share = join(root, 'dist/share');
  rmSync(share, { recursive: true, force: true });
  for (const [path, text] of manuals({ helpText, examples })) {
    mkdirSync(dirname(join(share, path)), { recursive: true });
    writeFileSync(join(share, path), text);
  }
}
