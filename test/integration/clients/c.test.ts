import { exampleContract } from '../../support/example.ts';

exampleContract('C', [{ file: 'sign-glib.c' }, { file: 'sign-libdbus.c' }]);
