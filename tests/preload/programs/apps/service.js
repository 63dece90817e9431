// SPDX-License-Identifier: Apache-2.0
// An event loop: node's http server and client. service.js PORT DOWNSTREAM_PORT [forward]
'use strict';
const http = require('http');
const [port, downstream, mode] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

function call(path, headers, done) {
  const request = http.get({ host: '127.0.0.1', port: downstream, path, headers, agent }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => done(Buffer.concat(parts)));
  });
  request.on('error', (error) => done(String(error)));
}

http.createServer((request, response) => {
  if (request.url.startsWith('/call/')) {
    const headers = {};
    if (mode === 'forward' && request.headers.traceparent) {
      headers.traceparent = request.headers.traceparent;
    }
    call(request.url.replace('call', 'down'), headers, (body) => response.end(body));
  } else if (request.url === '/headers') {
    response.end(JSON.stringify(request.rawHeaders));
  } else {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => response.end(Buffer.concat(parts)));
  }
}).listen(port, '127.0.0.1', 511);

(function background() {
  call('/background', {}, () => setTimeout(background, 5));
})();
process.on('SIGTERM', () => process.exit(0));
