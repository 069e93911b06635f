/** Debian's architectures: their names in Node and npm, and the prefix of their compilers and library folders. */
export const architectures = {
  amd64: { node: 'x64', triplet: 'x86_64-linux-gnu' },
  arm64: { node: 'arm64', triplet: 'aarch64-linux-gnu' },
};

/** The architecture of this machine; undefined when no packages are made for it. */
export const ownArchitecture = Object.keys(architectures).find(
  (name) => architectures[name].node === process.arch,
);
