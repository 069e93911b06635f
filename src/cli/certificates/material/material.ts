/** What commands do with certificates as such: a bundle of its own, because other commands start faster without it. */

export { certificateRequest, type RequestContent } from './certificate-request.ts';
export { type CertificateText, certificateTexts } from './certificate-text.ts';
export { importFormat } from './import-format.ts';
export { type KeyWithChain, keyWithChainIn, pkcs12Of } from './key-with-chain.ts';
