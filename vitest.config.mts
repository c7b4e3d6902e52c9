import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/descriptors.ts'],
    // Processes and sockets on Wine, and everything under the sanitizers, take several times as long.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
