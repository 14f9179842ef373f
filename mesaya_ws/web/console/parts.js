/**
 * Parts that several pages use.
 *
 * @module
 */

import { html, useState } from "./html.js";
import { Icon } from "./icons.js";
import { duration, t, tWord } from "./language.js";

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** Characters of JSON that are coloured; what is longer is shown without, and past the second bound not in full. */
const COLOURED = 30_000;
const SHOWN = 400_000;

/** JSON as text, indented, with its kinds of values coloured. */
export function Json({ value, label }) {
  const text = JSON.stringify(value, null, 2) ?? "";
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}\n…` : text;
  return html`<pre class="json" tabindex="0" aria-label=${label}>${text.length > COLOURED ? shown : coloured(shown)}</pre>`;
}

function coloured(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(TOKENS)) {
    const [all, string, colon, number] = found;
    const kind = string ? (colon ? "key" : "string") : number ? "number" : "literal";
    parts.push(text.slice(end, found.index), html`<span class="json-${kind}">${string ?? all}</span>`, colon ?? "");
    end = found.index + all.length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** For how long something has been; `now` comes from `useClock`, so that all ages are drawn together. */
export const Age = ({ since, now }) =>
  html`<time datetime=${new Date(since).toISOString()}>${duration((now - since) / 1000)}</time>`;

export function CopyButton({ text }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return;
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" onClick=${copy}><${Icon} name="copy" />${t(done ? "parts.copied" : "parts.copy")}</button>`;
}

/** What stands where there is nothing else to show. */
export const Empty = ({ icon, title, children }) => html`
  <div class="empty">
    <${Icon} name=${icon} />
    <h2>${title}</h2>
    ${children}
  </div>
`;

/** An error of the gateway; those that ask for a right say where to get it. */
export function Failure({ error }) {
  if (!error) return null;
  const isRight = error.status === 401 || error.status === 403;
  return html`
    <div class="failure" role="alert">
      <p>
        <code>${error.code}</code> ${error.message}${isRight && html`<small>${t(error.code === "publish_disabled" ? "parts.no-publishing" : "parts.need-right")}</small>`}
      </p>
    </div>
  `;
}

export function RestaurantPicker({ restaurants, value, onChoose }) {
  if (!restaurants?.length) return null;
  const isKnown = restaurants.some((one) => one.restaurantId === value);
  return html`
    <label class="field inline">
      <span>${t("parts.restaurant")}</span>
      <select value=${value} onChange=${(event) => onChoose(event.target.value)}>
        ${!isKnown && html`<option value=${value}>${value || t("parts.choose")}</option>`}
        ${restaurants.map((one) => html`<option value=${one.restaurantId} selected=${one.restaurantId === value}>${one.name ?? one.restaurantId}</option>`)}
      </select>
    </label>
  `;
}

/** A status word of the platform, in the language of the page if that has one for it. */
export const statusWord = (status) => (status === undefined || status === null ? "—" : tWord(`word.${status}`, String(status)));

/** A table, which is scrolled sideways where there is little room, also by the keyboard. */
export const Table = ({ label, heads, children }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table>
      <thead>
        <tr>${heads.map(([words, kind]) => html`<th scope="col" class=${kind}>${words}</th>`)}</tr>
      </thead>
      <tbody>${children}</tbody>
    </table>
  </div>
`;
