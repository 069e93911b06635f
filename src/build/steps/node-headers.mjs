import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The prefix of the running Node; its headers, if installed, are in `include/node`. */
export const nodePrefix = dirname(dirname(realpathSync(process.execPath)));

/** Whether the headers of the running Node are installed. */
export function hasNodeHeaders() {
  try {
    const text = readFileSync(join(nodePrefix, 'include/node/node_version.h'), 'utf8');
    const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1];
    return major === process.versions.node.split('.')[0];
  } catch {
    return false;
  }
}

/** Configures node-gyp to build against the running Node, without a download and overriding npm's configuration. */
export function useOwnHeaders() {
  if (hasNodeHeaders()) process.env.npm_config_nodedir = nodePrefix;
}
