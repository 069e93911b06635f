/** Files without input and output that Stryker mutates whole, and the fast suites that test each, below test/unit. */
export const pureFiles = {
  'src/ids.ts': ['ids'],
  'src/keys/pkcs11-uri.ts': ['keys/pkcs11-uri'],
  'src/service/problem.ts': ['service/problem'],
  'src/service/rules.ts': ['service/rules'],
  'src/x509/name.ts': ['x509/name', 'x509/certificate'],
};
