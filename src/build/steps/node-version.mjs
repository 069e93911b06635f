/** The oldest supported Node. */
const needed = [20, 19];

/** Exits with one line when the running Node is too old. The syntax of this file is parsed by every ESM Node. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > needed[0] || (major === needed[0] && minor >= needed[1])) return;
  console.error(
    `Node ${needed.join('.')} or newer is needed, this is Node ${process.versions.node}`,
  );
  process.exit(2);
}
