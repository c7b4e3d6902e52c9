import { DefaultSelector } from 'selectors-native';
import { startTrace } from 'selectors-native/trace';

const selector = new DefaultSelector();
const trace = startTrace(); // of this thread and the workers that it starts from here on
try {
  selector.select(0);
} finally {
  trace.stop();
}
console.log(trace.format()); // epoll_wait(17, [], 64, 0) = 0
console.table(trace.summary());
