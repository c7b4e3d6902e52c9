#!/usr/bin/env node
/** The program `selectors-native` (npx selectors-native …). */
// `selectors-native demo | head -1`: the reader has exited. EIO: the terminal is closed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EIO') return;
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// Not a static import: where the addon cannot be loaded, this program prints the reason, without a stack trace.
import('./program.js')
  .then(({ newProgram }) => newProgram().parseAsync())
  .catch((error: unknown) => {
    process.stderr.write(`selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
