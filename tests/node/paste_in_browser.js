'use strict';

// node paste_in_browser.js CHROMIUM SNIPPET PORT ORIGIN: the snippet in the console of a page of ORIGIN, in a real browser.
// The browser finds the service, which listens on PORT, at localhost:8080, and the page wherever ORIGIN says.
// Reported are what the console shows ({"log": [...]}, {"error": [...]}), how the socket is when all is pasted
// ({"pasted": readyState}), and the answers of the service to requests of the page ({"fetched": {path: status or error}}).
// It ends when its standard input does.

const http = require('node:http');
const { chromium } = require('playwright-core');
const { readBlocks, sends, report, until } = require('./blocks.js');
const { FLAGS } = require('./chromium.js');

const [executablePath, snippet, port, origin] = process.argv.slice(2);

async function main() {
  const pages = http.createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  const rules = `MAP localhost:8080 127.0.0.1:${port}, MAP ${new URL(origin).host} 127.0.0.1:${pages.address().port}`;

  // Playwright gives it a new profile in a folder that is removed at the end.
  const browser = await chromium.launch({ executablePath, args: [...FLAGS, `--host-resolver-rules=${rules}`] });
  process.stdin.resume().on('end', () => browser.close().then(() => process.exit(0)));
  const page = await browser.newPage();
  page.on('console', async (said) => {
    report({ [said.type()]: said.args().length ? await Promise.all(said.args().map((it) => it.jsonValue())) : [said.text()] });
  });
  await page.goto(origin);

  const devtools = await page.context().newCDPSession(page);
  const enter = async (expression) => {
    const { result, exceptionDetails } = await devtools.send('Runtime.evaluate', {
      expression,
      replMode: true,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  };
  for (const block of readBlocks(snippet)) {
    if (sends(block)) await until(() => enter('ws.readyState !== WebSocket.CONNECTING'));
    await enter(`${block}\nundefined`);
  }
  report({ pasted: await enter('ws.readyState') });

  const fetched = {};
  for (const path of ['/health', '/metrics']) {
    fetched[path] = await enter(`await fetch('http://localhost:8080${path}').then((it) => it.status, (error) => error.message)`);
  }
  report({ fetched });
}

main();
