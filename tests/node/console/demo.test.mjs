// A first look, while a demo plays: nothing is chosen, nobody signs in.

import assert from 'node:assert/strict';
import { nodeTest, openConsole, withBrowser } from './harness.mjs';

withBrowser();

nodeTest('within a minute, tables change their colour', async () => {
  const page = await openConsole('', { locale: 'es-EC' });
  await page.locator('svg g.table').first().waitFor({ timeout: 120_000 });
  const colours = () => page.locator('svg g.table').evaluateAll((all) => all.map((one) => getComputedStyle(one.querySelector('.top')).fill));
  const before = await colours();
  await page.waitForFunction(
    (was) => JSON.stringify([...document.querySelectorAll('svg g.table')].map((one) => getComputedStyle(one.querySelector('.top')).fill)) !== was,
    JSON.stringify(before),
    { timeout: 120_000 },
  );
  assert.ok(before.length > 5);
  assert.deepEqual(page.complaints, []);
});
