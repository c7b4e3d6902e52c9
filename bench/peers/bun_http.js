/** Bun.serve: the reply to GET is the path, as text. */
const HEADERS = { 'Content-Type': 'text/plain' };

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request) {
    const { url } = request;
    return new Response(url.slice(url.indexOf('/', 'http://'.length)), { headers: HEADERS });
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
