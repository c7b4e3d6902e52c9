/** What http.ts is measured beside: the same over Node's `http`. */
import { type Server, createServer } from 'node:http';

/** The reply to GET is the path, as text. */
export function createPathServer(): Server {
  return createServer((request, response) => {
    const { url = '' } = request;
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': url.length });
    response.end(url);
  });
}
