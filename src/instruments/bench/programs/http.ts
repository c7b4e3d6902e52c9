/** The minimal HTTP server of this package on a loop: http reactor|proactor MECHANISM */
import { httpGet } from '../../measuring/http.js';
import { serveOnLoop } from './serve-on-loop.js';

serveOnLoop(httpGet);
