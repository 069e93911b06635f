/** @see https://stryker-mutator.io/docs/stryker-js/configuration */
export default {
  testRunner: 'command',
  commandRunner: { command: 'node test/mutants/stryker-command.mjs' },
  buildCommand: 'tsc --noCheck',
  plugins: [],
  checkers: [],
  tsconfigFile: 'none.json', // a real one would be read by the compiler's API, which TypeScript 7 does not have
  disableTypeChecks: 'src/**/*.ts',
  ignorePatterns: ['/dist', '/docs'],
  mutator: { excludedMutations: ['StringLiteral'] }, // most are messages, whose wording no test repeats
  coverageAnalysis: 'off',
  concurrency: 2,
  tempDirName: 'dist/stryker',
  reporters: ['clear-text'],
  clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false },
  timeoutMS: 60_000, // the command has its own deadlines
  thresholds: { high: 95, low: 90, break: 85 },
};
