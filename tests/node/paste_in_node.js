'use strict';

// node paste_in_node.js SNIPPET PORT: the snippet in Node, with the package `ws` as the global WebSocket.
// Whatever it connects to, it reaches the service on PORT. What it logs is reported: {"log": [...]}. It ends when its standard
// input does.

const net = require('node:net');
const vm = require('node:vm');
const WebSocket = require('ws');
const { readBlocks, sends, report, until } = require('./blocks.js');

const [snippet, port] = process.argv.slice(2);

globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url, { createConnection: () => net.connect(Number(port), '127.0.0.1') });
  }
};
for (const level of ['log', 'error']) console[level] = (...said) => report({ [level]: said });

process.stdin.resume().on('end', () => process.exit(0));

(async () => {
  for (const block of readBlocks(snippet)) {
    if (sends(block)) await until(() => vm.runInThisContext('ws.readyState !== WebSocket.CONNECTING'));
    vm.runInThisContext(block);
  }
  report({ pasted: vm.runInThisContext('ws.readyState') });
})();
