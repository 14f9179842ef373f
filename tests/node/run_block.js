'use strict';

// node run_block.js FILE: a block of the documentation, with the package `ws` as the global WebSocket.
// What it logs, and the protocol of each WebSocket that opens, is reported: {"log": [...]}, {"opened": "..."}. It ends when its
// standard input does.

const { readFileSync } = require('node:fs');
const vm = require('node:vm');
const WebSocket = require('ws');
const { report } = require('./blocks.js');

globalThis.WebSocket = class extends WebSocket {
  constructor(...parts) {
    super(...parts);
    this.addEventListener('open', () => report({ opened: this.protocol }));
  }
};
console.log = (...said) => report({ log: said });

process.stdin.resume().on('end', () => process.exit(0));
vm.runInThisContext(readFileSync(process.argv[2], 'utf8'));
