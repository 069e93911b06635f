import { pathToFileURL } from 'node:url';

/** Replaces `import.meta.url` in a bundle, which is CommonJS. */
export const importMetaUrl = /* @__PURE__ */ String(/* @__PURE__ */ pathToFileURL(__filename));
