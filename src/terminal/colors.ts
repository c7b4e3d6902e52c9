/** Colours for a terminal, none for a file or a pipe, on Windows too (where picocolors takes every output for a terminal). */
import { createColors, isColorSupported } from 'picocolors';

export const pc = createColors(isColorSupported && process.stdout.isTTY);
