// node console_shots.mjs CHROMIUM URL FOLDER [PAGE…]: pictures of the console's pages at URL, in FOLDER: light, dark, and at the
// width of a phone. A PAGE is the part of the address after `#/`, perhaps with a query; by default, each page as it opens.
// What the browser complains of is reported on standard error.

import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { FLAGS } from './chromium.js';

const [executablePath, url, folder, ...chosen] = process.argv.slice(2);
const PAGES = ['floor', 'watch', 'chat', 'publish', 'connections', 'health', 'explain'];
const FORMS = {
  light: { viewport: { width: 1360, height: 860 }, colorScheme: 'light', locale: 'en-GB' },
  dark: { viewport: { width: 1360, height: 860 }, colorScheme: 'dark', locale: 'es-EC' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', locale: 'es-EC', isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

await mkdir(folder, { recursive: true });
const browser = await chromium.launch({ executablePath, args: FLAGS });
for (const [form, options] of Object.entries(FORMS)) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  tab.on('console', (said) => said.type() === 'error' && console.error(form, said.text()));
  tab.on('pageerror', (error) => console.error(form, String(error)));
  if (process.env.IDENTITY) {
    await tab.addInitScript((text) => {
      for (const [name, value] of location.protocol === 'about:' ? [] : Object.entries(JSON.parse(text))) sessionStorage.setItem(`mesaya-console ${name}`, JSON.stringify(value));
    }, process.env.IDENTITY);
  }
  for (const page of chosen.length ? chosen : PAGES) {
    await tab.goto(`${url}/console#/${page}`);
    await tab.waitForTimeout(Number(process.env.WAIT ?? 2500));
    if (process.env.CLICK) await tab.locator(process.env.CLICK).first().click({ timeout: 3000 }).catch((error) => console.error(String(error).split('\n')[0]));
    if (process.env.CLICK) await tab.waitForTimeout(600);
    await tab.screenshot({ path: `${folder}/${page.split('?')[0]}-${form}.png`, fullPage: form === 'phone' });
    await tab.goto('about:blank');
  }
  await context.close();
}
await browser.close();
