// SPDX-License-Identifier: Apache-2.0
// node: node_app.js http|fetch [plain|body|cluster|worker]
'use strict';
const http = require('http');
const cluster = require('cluster');
const { Worker, isMainThread } = require('worker_threads');
const [client, shape = 'plain'] = process.argv.slice(2);
const port = Number(process.env.PORT);
const downstream = Number(process.env.DOWNSTREAM_PORT);
const agent = new http.Agent({ keepAlive: true });

const wait = () => new Promise((done) => { setTimeout(done, Math.random() * 10); });

async function ask(path) {
  await wait();
  if (client === 'fetch') {
    await (await fetch(`http://127.0.0.1:${downstream}${path}`)).arrayBuffer();
    return;
  }
  await new Promise((done, failed) => {
    const request = http.get({ host: '127.0.0.1', port: downstream, path, agent }, (answer) => {
      answer.resume();
      answer.on('end', done);
    });
    request.on('error', failed);
  });
}

async function serve(request, response) {
  const n = Number(request.url.split('/').pop());
  const paths = Array.from({ length: 1 + (n % 3) }, (_, k) => `/down/${n}/${k}`);
  if (n % 2) await Promise.all(paths.map(ask));
  else for (const path of paths) await ask(path); // eslint-disable-line no-await-in-loop
  response.end(String(n));
}

async function background() {
  for (;;) await ask('/background').catch(() => {}); // eslint-disable-line no-await-in-loop
}

function listen() {
  http.createServer((request, response) => {
    if (shape !== 'body') serve(request, response);
    else request.on('data', () => {}).on('end', () => serve(request, response));
  }).listen(port, '127.0.0.1', 511);
  background();
}

process.on('SIGTERM', () => process.exit(0));
if (shape === 'cluster' && cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.removeAllListeners('SIGTERM');
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.kill();
    process.exit(0);
  });
} else if (shape === 'worker' && isMainThread) {
  new Worker(__filename, { argv: [client, shape] }); // eslint-disable-line no-new
} else {
  listen();
}
