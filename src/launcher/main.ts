/** The file of every program that needs nothing before its bundle is compiled. */
import { launch } from './launch.ts';

launch(import.meta.filename);
