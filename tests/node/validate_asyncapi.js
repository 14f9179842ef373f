'use strict';

// node validate_asyncapi.js FILE: what the parser of AsyncAPI says of a description, as JSON: {"version", "problems"}.

const { readFileSync } = require('node:fs');
const { Parser } = require('@asyncapi/parser');

async function validate() {
  const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
  const problems = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
  process.stdout.write(JSON.stringify({ version: document ? document.version() : null, problems }));
}

validate();
