import { pathToFileURL } from 'node:url';

/** Stands for `import.meta.url` in a bundle, which is CommonJS. */
export const importMetaUrl = /* @__PURE__ */ String(/* @__PURE__ */ pathToFileURL(__filename));
