import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the running Node is installed: headers, when there are any, are in `include/node` below it. */
export const nodePrefix = dirname(dirname(realpathSync(process.execPath)));

/** Whether headers of the running Node lie beside it. */
export function hasNodeHeaders() {
  try {
    const text = readFileSync(join(nodePrefix, 'include/node/node_version.h'), 'utf8');
    const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1];
    return major === process.versions.node.split('.')[0];
  } catch {
    return false;
  }
}

/** Lets node-gyp build against the running Node, whatever npm is configured to, and without a download. */
export function useOwnHeaders() {
  if (hasNodeHeaders()) process.env.npm_config_nodedir = nodePrefix;
}
