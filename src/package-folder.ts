/** Where this package is. No other file may depend on its own path, because the build moves modules into one file (scripts/build.mjs). */
import { join } from 'node:path';

/** The package's folder. */
export const packageFolder = join(__dirname, '..');

/** The path of a compiled file: of a program that runs as a thread or process. @param name relative to dist/ */
export const distPath = (name: string): string => join(packageFolder, 'dist', name);
