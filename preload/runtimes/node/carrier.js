// SPDX-License-Identifier: Apache-2.0
// Remora's carrier for node 18 and later: the trace header of the request that is being served goes
// on to the calls made for it, through AsyncLocalStorage.
//
// The carrier makes no ids and no spans. The header it hands on is the one that the shim wrote into
// the request; on the way out the shim recognises its own span there and puts the call's span in its
// place. Where nothing is known, nothing is added.
//
// Loaded by NODE_OPTIONS=--require in front of what the user set there (preload/carriers.cc). Loads
// no module that the program does not use: http is only looked at once it has served a request.
'use strict';

// What the shim wrote: ours alone where there was no NODE_OPTIONS, else a blank and the user's own.
// (__filename may be another name of the same file: node resolves links.)
function takeOutVariable() {
  const value = process.env.NODE_OPTIONS;
  const ours = /^--require=\S*\/remora-runtimes\/node\/carrier\.js( |$)/.exec(value);
  if (ours === null) return;
  if (ours[1] === '') delete process.env.NODE_OPTIONS;
  else process.env.NODE_OPTIONS = value.slice(ours[0].length);
}

// May a head with these fields be given a trace header? `each` calls back with every name and value.
// As the shim does, we leave signed requests alone.
function mayCarry(each) {
  let free = true;
  each((name, value) => {
    switch (String(name).toLowerCase()) {
      case 'traceparent':
      case 'signature':
      case 'signature-input':
      case 'x-amz-signature':
        free = false;
        break;
      case 'authorization':
        if (/^\s*(aws4-|signature(\s|$))/i.test(String(value))) free = false;
        break;
      default:
    }
  });
  return free;
}

function start() {
  const { AsyncLocalStorage } = require('async_hooks');
  const channels = require('diagnostics_channel');
  const current = new AsyncLocalStorage();
  // From node 24 on enterWith() holds until the parser's callback returns: the body's events come
  // from later ones. Before, it holds for the connection.
  const forgets = parseInt(process.versions.node, 10) >= 24;
  let patched = false;

  // A request that is being served is known by the message of its channel. What outlives it belongs
  // to nobody.
  function beginRequest(message) {
    // Always: what the connection has in its context is an earlier request's.
    current.enterWith(message);
    if (forgets) bindEvents(message);
    if (!patched) {
      patched = true;
      patchHttp(require('http'));
    }
  }

  function bindEvents(message) {
    const { emit } = message.request;
    Object.defineProperty(message.request, 'emit', {
      configurable: true,
      writable: true,
      value(...event) {
        return current.run(message, () => emit.apply(this, event));
      },
    });
  }

  // The fields that a call made now is to carry, undefined: none.
  function fieldsForCall() {
    const message = current.getStore();
    if (message === undefined) return undefined;
    const { request, response } = message;
    if (response.writableFinished || response.destroyed) return undefined;
    const { traceparent, tracestate } = request.headers;
    // node joins fields that come twice; two traceparents are none.
    if (!/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?$/.test(traceparent)) {
      return undefined;
    }
    return tracestate ? { traceparent, tracestate } : { traceparent };
  }

  // Every head of an http or https call is put together in _storeHeader. `headers` is what setHeader
  // collected (name -> [name, value], without a prototype) or an array that the program gave: of
  // pairs, or of names and values in turn. What comes back is another object of a form that node
  // takes; the request keeps the headers that the program chose.
  function withFields(headers, fields) {
    const pairs = [];
    if (!Array.isArray(headers)) {
      if (headers && Object.getPrototypeOf(headers) !== null) return headers;
      for (const name of Object.keys(headers || {})) pairs.push(headers[name]);
    } else if (Array.isArray(headers[0])) {
      pairs.push(...headers);
    } else {
      for (let i = 0; i + 1 < headers.length; i += 2) pairs.push([headers[i], headers[i + 1]]);
    }
    const free = mayCarry((see) => { for (const [name, value] of pairs) see(name, value); });
    return free ? pairs.concat(Object.entries(fields)) : headers;
  }

  function patchHttp(http) {
    const prototype = http.ClientRequest.prototype;
    const original = prototype._storeHeader;
    if (typeof original !== 'function') return;
    prototype._storeHeader = function _storeHeader(firstLine, headers) {
      let given = headers;
      try {
        const fields = fieldsForCall();
        if (fields !== undefined && this.method !== 'CONNECT') given = withFields(headers, fields);
      } catch {
        given = headers;
      }
      return original.call(this, firstLine, given);
    };
  }

  // fetch and undici: one text of lines (undici 5) or a list of names and values (6 and later).
  function beginFetch({ request }) {
    const fields = fieldsForCall();
    if (fields === undefined || request.method === 'CONNECT') return;
    const { headers } = request;
    const free = mayCarry((see) => {
      if (typeof headers === 'string') {
        for (const line of headers.split('\r\n')) {
          const colon = line.indexOf(':');
          see(line.slice(0, colon), line.slice(colon + 1));
        }
      } else for (let i = 0; i + 1 < headers.length; i += 2) see(headers[i], headers[i + 1]);
    });
    if (free) for (const name of Object.keys(fields)) request.addHeader(name, fields[name]);
  }

  // A subscriber that throws would end the program (diagnostics_channel raises it as uncaught).
  function guarded(handle) {
    return (message) => {
      try {
        handle(message);
      } catch {
        // this request is not followed
      }
    };
  }
  channels.channel('http.server.request.start').subscribe(guarded(beginRequest));
  channels.channel('undici:request:create').subscribe(guarded(beginFetch));
}

try {
  takeOutVariable();
  delete require.cache[__filename];
  if (parseInt(process.versions.node, 10) >= 18) start();
} catch {
  // a carrier that fails leaves the program alone
}
