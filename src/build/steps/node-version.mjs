/** The oldest Node that everything here runs on. */
const needed = [20, 19];

/** Ends the process with one line when the running Node is too old. Syntax here is what every ESM Node parses. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > needed[0] || (major === needed[0] && minor >= needed[1])) return;
  console.error(
    `Node ${needed.join('.')} or newer is needed, this is Node ${process.versions.node}`,
  );
  process.exit(2);
}
