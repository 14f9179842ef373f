/**
 * Light or dark: as the system says, until somebody chooses.
 *
 * @module
 */

import { Value } from "./html.js";
import { remembered } from "./memory.js";

/** Each with its icon. */
export const THEMES = [
  ["auto", "auto"],
  ["light", "sun"],
  ["dark", "moon"],
];

const before = remembered.get("theme");

export const theme = new Value(THEMES.some(([name]) => name === before) ? before : "auto");

show();
theme.subscribe(show);

function show() {
  document.documentElement.dataset.theme = theme.get();
}

export function chooseTheme(name) {
  remembered.set("theme", name === "auto" ? undefined : name);
  theme.set(name);
}
