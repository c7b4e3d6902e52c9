import { Socket } from 'selectors-native';
import { injectFaults, startTrace } from 'selectors-native/trace';

const [a, b] = Socket.pair({ blocking: false });
const trace = startTrace();
const faults = injectFaults('send:short=2@1, recv:EINTR@1, recv:ECONNRESET@3');
try {
  console.log(a.send('hello')); // 2: a short send, the rest is for another one
  console.log(String(b.recv(100))); // he: after EINTR the call is made again
  b.recv(100); // throws ECONNRESET
} catch (error) {
  console.log(error.code);
} finally {
  faults.stop();
  trace.stop();
}
console.log(trace.format()); // sendto(18, "hello", 5, MSG_NOSIGNAL, NULL, 0) = 2 (INJECTED)
console.table(faults.counts());
