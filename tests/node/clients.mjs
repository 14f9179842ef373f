// node clients.mjs MODULE [CHROMIUM]: subscribers with the JavaScript client, which is MODULE; each in a page of its own of a
// Chromium, or all in this process.
// Standard input holds lines {"client": number, "open": {url, channels, snapshot?, token?, options?}}, then of each client
// {"client": number, "drain": number}, {"client": number, "reconnect": true}. With `token`: {secret, seconds}, the client has a
// token source, of an ADMIN; {"client": number, "signing": false} lets it fail, true lets it work again;
// {"client": number, "offline": true} takes the network of a page away.
// Each line of subscriber.mjs comes with the number of the client, and so does {"asked": why} when its token source is asked;
// before all comes {"browser": pid}. It ends when its standard input does.

import { createHmac } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import http from 'node:http';
import readline from 'node:readline';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';
import { FLAGS } from './chromium.js';
import { subscribe } from './subscriber.mjs';

const [module, executablePath] = process.argv.slice(2);
const clients = new Map();

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

class Tokens {
  isSigning = true;

  constructor({ secret, seconds }, report) {
    Object.assign(this, { secret, seconds, report });
  }

  source = async (why) => {
    this.report({ asked: why });
    if (!this.isSigning) throw new Error(`no token: ${why}`);
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: 'admin', roles: ['ADMIN'], iss: 'mesaYA-auth', iat: now, exp: now + this.seconds };
    const signed = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64(claims)}`;
    return `${signed}.${createHmac('sha256', this.secret).update(signed).digest('base64url')}`;
  };
}

/** Return how to open a client in this process. */
async function inNode() {
  const { MesaYA } = await import(module);
  return ({ options, ...rest }) => subscribe({ MesaYA, ...rest, options: { WebSocket, ...options } });
}

/** Return how to open a client in a page of its own; pages come from this process, which no fault concerns. */
async function inChromium() {
  const files = {
    '/': ['text/html', '<!doctype html><title>subscriber</title>'],
    '/subscriber.mjs': ['text/javascript', await readFile(new URL('./subscriber.mjs', import.meta.url))],
  };
  const folder = new URL('.', module);
  for (const name of (await readdir(folder)).filter((it) => it.endsWith('.js'))) {
    files[`/${name}`] = ['text/javascript', await readFile(new URL(name, folder))];
  }
  const server = http.createServer(({ url }, answer) => {
    const [type, content] = files[url] ?? ['text/plain', ''];
    answer.writeHead(files[url] ? 200 : 404, { 'Content-Type': type }).end(content);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const process_ = await chromium.launchServer({ executablePath, args: FLAGS });
  process.stdout.write(`${JSON.stringify({ browser: process_.process().pid })}\n`);
  const browser = await chromium.connect(process_.wsEndpoint());
  process.stdin.on('end', () => process_.close().then(() => process.exit(0)));

  return async ({ report, token, ...rest }) => {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    page.on('pageerror', (error) => report({ pageerror: String(error) }));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.exposeFunction('report', (all) => all.forEach(report));
    if (token) await page.exposeFunction('token', token);
    await page.evaluate(async (given) => {
      const { MesaYA } = await import('/mesaya-ws.js');
      const { subscribe } = await import('/subscriber.mjs');
      // Each call takes several turns between three processes: so one takes all that there is by then.
      const waiting = [];
      let isReporting = false;
      const report = async (what) => {
        waiting.push(what);
        if (isReporting) return;
        isReporting = true;
        while (waiting.length) await window.report(waiting.splice(0));
        isReporting = false;
      };
      window.subscriber = subscribe({ MesaYA, ...given, token: window.token, report });
    }, rest);
    const call = (name, ...values) => page.evaluate(([one, all]) => void window.subscriber[one](...all), [name, values]);
    const offline = (isOffline) => page.context().setOffline(isOffline);
    return { drain: (number) => call('drain', number), reconnect: () => call('reconnect'), offline };
  };
}

const open = await (executablePath ? inChromium() : inNode());
if (!executablePath) process.stdin.on('end', () => process.exit(0));

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { client, ...command } = JSON.parse(line);
  const known = clients.get(client);
  if (command.open) {
    const { token, ...rest } = command.open;
    const report = (what) => process.stdout.write(`${JSON.stringify({ client, ...what })}\n`);
    const tokens = token && new Tokens(token, report);
    const subscriber = await open({ ...rest, token: tokens?.source, report });
    clients.set(client, { subscriber, tokens });
  }
  if (command.drain !== undefined) known.subscriber.drain(command.drain);
  if (command.offline !== undefined) known.subscriber.offline(command.offline);
  if (command.reconnect) known.subscriber.reconnect();
  if (command.signing !== undefined) known.tokens.isSigning = command.signing;
}
