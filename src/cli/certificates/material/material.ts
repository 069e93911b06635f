/** What commands do with certificates as such: a bundle of its own, because other commands start faster without it. */
export { type CertificateText, certificateTexts } from './certificate-text.ts';
