import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SharedFile } from 'selectors-native/syscalls';

const scoreboard = new SharedFile(join(tmpdir(), 'scoreboard'), 4096);
try {
  const counters = new Int32Array(scoreboard.memory); // mmap(2)
  scoreboard.lock(); // flock(2)
  console.log(`I am number ${++counters[0]}`);
  scoreboard.unlock();
} finally {
  scoreboard.close();
}
