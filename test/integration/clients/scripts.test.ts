import { exampleContract } from '../../support/example.ts';

exampleContract('scripts', [
  { file: 'sign-dasbus.py' },
  { file: 'sign-net-dbus.pl' },
  { file: 'sign-sdbus.py', needs: 'python-sdbus' },
]);
