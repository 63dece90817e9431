// SPDX-License-Identifier: Apache-2.0
// Calls that a carrier must leave alone: /own has a trace header, /signed a signature, /later is made
// by a timer that outlives its request. /call is an ordinary one. careful_service.js http|array|fetch
'use strict';
const http = require('http');
const port = Number(process.env.DOWNSTREAM_PORT);
const client = process.argv[2];
const headers = {
  '/own': { Traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00` },
  '/signed': { Authorization: 'AWS4-HMAC-SHA256 Credential=x' },
};

async function call(path) {
  const own = headers[path] || {};
  if (client === 'fetch') {
    await (await fetch(`http://127.0.0.1:${port}${path}`, { headers: own })).arrayBuffer();
    return;
  }
  const given = client === 'array' ? ['Host', '127.0.0.1', ...Object.entries(own).flat()] : own;
  await new Promise((done, failed) => {
    const request = http.get({ host: '127.0.0.1', port, path, headers: given }, (answer) => {
      answer.resume().on('end', done);
    }).on('error', failed);
    if (path === '/call' && request.getHeader('traceparent')) {
      throw new Error('the program sees a header that it did not set');
    }
  });
}

http.createServer(async (request, response) => {
  if (request.url === '/later') {
    response.on('close', () => setTimeout(call, 100, '/later'));
  } else {
    await call(request.url);
  }
  response.end('done');
}).listen(Number(process.env.PORT), '127.0.0.1');
