/** The file of iotedge-keys. */
// before anything else is loaded: the launcher itself needs 3 ms for that
import './early-host.ts';
import { launch } from './launch.ts';

launch(import.meta.filename);
