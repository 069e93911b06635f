import { exampleContract } from '../../support/example.ts';

exampleContract('C++', [
  { file: 'sign-sdbus-c++.cpp' },
  { file: 'sign-qt.cpp' },
  { file: 'sign-qt.cpp', variant: 'Qt 6' },
]);
