/**
 * The rows of Watch, the newest first. However many there are, only those in sight are elements of the page.
 *
 * @module
 */

import { html, useClock, useEffect, useRef, useSize, useState } from "../html.js";
import { duration, t } from "../language.js";
import { shortName } from "../restaurants.js";

/** px of a row: on one line, and on two where there is little room. */
const ROW = { wide: 34, narrow: 56 };
const NARROW = 640;
const SPARE = 6;

export function RowList({ rows, chosen, onChoose, restaurants }) {
  const now = useClock();
  const { ref, width, height } = useSize();
  const [top, setTop] = useState(0);
  const last = useRef(undefined);
  const size = width && width < NARROW ? ROW.narrow : ROW.wide;
  const first = Math.max(0, Math.floor(top / size) - SPARE);
  const end = Math.min(rows.length, Math.ceil((top + (height || 600)) / size) + SPARE);

  // Who has scrolled down goes on looking at the same rows, though others come before them.
  useEffect(() => {
    const newest = rows.at(-1)?.serial;
    if (top > 0 && last.current !== undefined && newest !== undefined) {
      let more = 0;
      while (more < rows.length && rows[rows.length - 1 - more].serial > last.current) more++;
      if (more) ref.current.scrollTop += more * size;
    }
    last.current = newest;
  });

  const indexOf = (row) => rows.length - 1 - rows.findIndex((one) => one.serial === row.serial);
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") onChoose(undefined);
    if (step === undefined || !rows.length) return;
    event.preventDefault();
    const at = chosen ? indexOf(chosen) : -1;
    const next = Math.min(rows.length - 1, Math.max(0, at < 0 || at >= rows.length ? 0 : at + step));
    onChoose(rows[rows.length - 1 - next]);
    const list = ref.current;
    if (next * size < list.scrollTop) list.scrollTop = next * size;
    if ((next + 1) * size > list.scrollTop + list.clientHeight) list.scrollTop = (next + 1) * size - list.clientHeight;
  };

  const shown = [];
  for (let index = first; index < end; index++) {
    const row = rows[rows.length - 1 - index];
    shown.push(html`<${Row} key=${row.serial} row=${row} top=${index * size} size=${size} now=${now} isChosen=${row.serial === chosen?.serial} onChoose=${onChoose} name=${shortName(row.channel, restaurants)} />`);
  }
  return html`
    <div
      class="rows"
      ref=${ref}
      role="listbox"
      tabindex="0"
      aria-label=${t("watch.rows")}
      aria-activedescendant=${chosen ? `row-${chosen.serial}` : undefined}
      onScroll=${(event) => setTop(event.target.scrollTop)}
      onKeyDown=${onKeyDown}
    >
      ${rows.length
        ? html`<div class="rows-all" role="presentation" style=${{ height: `${rows.length * size}px` }}>${shown}</div>`
        : html`<div role="option" aria-disabled="true" class="rows-none">${t("watch.none")}</div>`}
    </div>
  `;
}

const Row = ({ row, top, size, now, isChosen, onChoose, name }) => html`
  <div
    id="row-${row.serial}"
    role="option"
    aria-selected=${isChosen}
    class="line line-${row.kind}"
    style=${{ transform: `translateY(${top}px)`, height: `${size}px` }}
    onClick=${() => onChoose(row)}
  >
    <span class="line-age">${duration((now - row.at) / 1000)}</span>
    <span class="line-type">${row.type}</span>
    <span class="line-text">${row.kind === "gap" ? t("watch.gap", { reason: row.line }) : row.line}</span>
    <span class="line-channel">${name}</span>
  </div>
`;
