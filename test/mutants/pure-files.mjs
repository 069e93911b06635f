/** Files without I/O that Stryker mutates completely, and the fast suites of each, below test. */
export const pureFiles = {
  'src/ids.ts': ['unit/ids'],
  'src/glob.ts': ['unit/glob'],
  'src/keys/config/pkcs11-uri.ts': ['unit/keys/config/pkcs11-uri'],
  'src/service/config/config-problem.ts': ['unit/service/config/config-problem'],
  'src/service/authorization/rules.ts': ['unit/service/authorization/rules'],
  'src/x509/name.ts': ['component/x509/name', 'component/x509/certificate'],
};
