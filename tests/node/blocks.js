'use strict';

// A snippet as a person pastes it into a console: block by block, and what sends once the socket is open.

const { readFileSync } = require('node:fs');

exports.readBlocks = (file) => readFileSync(file, 'utf8').trimEnd().split('\n\n');

exports.sends = (block) => block.includes('ws.send(');

exports.until = async (probe) => {
  while (!(await probe())) await new Promise((resolve) => setTimeout(resolve, 10));
};

// What happens is reported in lines of JSON.
exports.report = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
