/**
 * A small graph of one value over the last minutes, with the value as it is now.
 *
 * @module
 */

import { html } from "./html.js";
import { t } from "./language.js";

const WIDTH = 240;
const HEIGHT = 56;

/** ms that a graph spans at least; it grows with what is known, up to that of the history. */
const LEAST = 30_000;

/** Points {at, [name]: value}; `write` says a value in words. */
export function Graph({ title, about, points, name, write }) {
  const known = points.filter((point) => Number.isFinite(point[name]) || point[name] === Infinity);
  const values = known.map((point) => (point[name] === Infinity ? 10 : point[name]));
  const most = Math.max(...values, 0);
  const now = known.length && points.at(-1) === known.at(-1) ? known.at(-1)[name] : undefined;
  const words = now === undefined ? "—" : write(now);
  const end = points.at(-1)?.at ?? 0;
  const span = Math.max(LEAST, end - (points[0]?.at ?? 0));
  const x = (at) => WIDTH * (1 - (end - at) / span);
  const y = (value) => HEIGHT - 3 - (most > 0 ? (value / most) * (HEIGHT - 8) : 0);
  const line = known.map(({ at }, index) => `${x(at).toFixed(1)},${y(values[index]).toFixed(1)}`).join(" ");
  const label = t("health.graph", { title, now: words, most: known.length ? write(most) : "—" });
  return html`
    <li class="card graph" title=${about}>
      <h3>${title}</h3>
      <p class="graph-now">${words}</p>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
        ${known.length > 1 &&
        html`
          <polygon class="graph-area" points=${`${x(known[0].at).toFixed(1)},${HEIGHT} ${line} ${x(known.at(-1).at).toFixed(1)},${HEIGHT}`} />
          <polyline class="graph-line" points=${line} vector-effect="non-scaling-stroke" />
        `}
      </svg>
      <p class="graph-foot"><small>${about}</small><small>${t("health.most", { most: known.length ? write(most) : "—" })}</small></p>
    </li>
  `;
}
