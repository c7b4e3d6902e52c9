/** Colours for a terminal, none for a file or a pipe. (On Windows, picocolors treats every output as a terminal.) */
import { createColors, isColorSupported } from 'picocolors';

export const pc = createColors(isColorSupported && process.stdout.isTTY);
