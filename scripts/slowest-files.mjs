// A vitest reporter that prints the ten slowest test files, in seconds of wall-clock time.
import { relative } from 'node:path';
import { root } from './stamp.mjs';

const COUNT = 10;

export default class SlowestFiles {
  onTestRunEnd(modules) {
    const files = modules
      .map((module) => ({ path: relative(root, module.moduleId), seconds: module.diagnostic().duration / 1000 }))
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, COUNT);
    if (files.length < 2) return;
    process.stdout.write(`\n   The ${files.length} slowest files, in seconds:\n`);
    for (const { path, seconds } of files) process.stdout.write(`${seconds.toFixed(1).padStart(8)}  ${path}\n`);
  }
}
