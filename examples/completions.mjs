import { openSync } from 'node:fs';
import { DefaultProactor, Socket } from 'selectors-native';

const proactor = new DefaultProactor(); // IOCP on Windows, io_uring on Linux, else the emulation: isNative is false
const port = Number(process.env.PORT ?? 1234);
const listener = new Socket().bind({ host: '127.0.0.1', port }).listen();
proactor.accept(listener, 'a client');
proactor.read(openSync(process.argv[1]), 64, 0, 'a file'); // files, too, at any position
proactor.timeout(500, 'time');
while (proactor.pending > 0) {
  for (const { data, result, error } of proactor.wait()) console.log(data, error ?? result);
}
