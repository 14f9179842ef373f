// node show_page.mjs CHROMIUM PAGE QUERY PORT [POLICY]: a page of http://localhost:4200 in a real browser, with QUERY.
// PAGE is a file of HTML, or a program that is bundled into one. The page finds the service, which listens on PORT, at
// localhost:8080; POLICY is its Content Security Policy. What it shows is reported whenever it changes: {"shown": texts of what is
// in <main>, "state": text of <output>}; {"log": texts}; and {"failed": error}, for errors and what the policy forbids. At
// /api/token, the page finds the token that the environment holds. It ends when its standard input does.

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { FLAGS } from './chromium.js';

const [executablePath, page, query, port, policy] = process.argv.slice(2);
const here = fileURLToPath(new URL('.', import.meta.url));

async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [page],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    nodePaths: [`${here}node_modules`],
    alias: { '@mesaya/ws': `${here}../../mesaya_ws/web/client/mesaya-ws.js` },
    define: { 'process.env.NODE_ENV': '"development"' }, // in which StrictMode mounts twice
    tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } },
    logLevel: 'error',
  });
  return outputFiles[0].text;
}

const isHtml = page.endsWith('.html');
const files = {
  '/': ['text/html', isHtml ? await readFile(page) : '<!doctype html><div></div><script type="module" src="/page.js"></script>'],
  '/api/token': ['application/json', JSON.stringify({ token: process.env.TOKEN ?? null })],
  '/page.js': ['text/javascript', isHtml ? '' : await bundled()],
};

const server = http.createServer(({ url }, answer) => {
  const [type, content] = files[new URL(url, 'http://localhost').pathname] ?? ['text/plain', ''];
  answer.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, ...(policy && { 'Content-Security-Policy': policy }) });
  answer.end(content);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const rules = `MAP localhost:8080 127.0.0.1:${port}, MAP localhost:4200 127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath, args: [...FLAGS, `--host-resolver-rules=${rules}`] });
process.stdin.resume().on('end', () => browser.close().then(() => process.exit(0)));

const tab = await browser.newPage();
const report = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
tab.on('pageerror', (error) => report({ failed: String(error) }));
tab.on('console', async (said) => {
  if (said.type() === 'error') report({ failed: said.text() });
  else report({ log: await Promise.all(said.args().map((it) => it.jsonValue())) });
});
await tab.exposeFunction('report', report);
await tab.addInitScript(() => {
  const look = () => {
    const shown = Array.from(document.querySelectorAll('main > *'), (one) => one.textContent.trim());
    window.report({ shown, state: document.querySelector('output')?.textContent });
  };
  document.addEventListener('DOMContentLoaded', () => {
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true });
    look();
  });
});
await tab.goto(`http://localhost:4200/?${query}`);
