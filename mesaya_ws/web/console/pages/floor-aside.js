/**
 * What stands beside a floor plan: the legend, the table that is chosen, and what has changed.
 *
 * @module
 */

import { html, useClock } from "../html.js";
import { Icon } from "../icons.js";
import { number, t } from "../language.js";
import { Age, Json, statusWord } from "../parts.js";
import { HoldControls } from "../own-holds.js";
import { clock, stateOf, STATES } from "../plan.js";
import { SIGNS, stateWord } from "./floor-plan.js";

export const Legend = ({ counts }) => html`
  <ul class="legend" aria-label=${t("floor.legend")}>
    ${STATES.filter((state) => state !== "other" || counts.other).map(
      (state) => html`
        <li class="legend-${state}">
          <svg viewBox="-14 -14 28 28" aria-hidden="true"><rect class="top" x="-12" y="-12" width="24" height="24" rx="6" /><g class="sign" transform="scale(.8)">${SIGNS[state]}</g></svg>
          <span>${stateWord(state)}</span><b>${number(counts[state])}</b>
        </li>
      `,
    )}
  </ul>
`;

export function TableDetails({ restaurant, table, section, held, onClose }) {
  const state = stateOf(table, held);
  const hold = held.get(table.tableId);
  return html`
    <section class="card" aria-labelledby="table-title">
      <header>
        <h2 id="table-title">${t("floor.table", { number: table.number ?? "?" })}</h2>
        <button type="button" class="plain" onClick=${onClose}><${Icon} name="close" /><span class="unseen">${t("floor.close")}</span></button>
      </header>
      <p class="state state-${state}">${stateWord(state)}${hold && ` · ${clock(hold.left)}`}</p>
      <${HoldControls} key=${table.tableId} restaurant=${restaurant} table=${table} state=${state} />
      <dl>
        <dt>${t("floor.room")}</dt>
        <dd>${section?.name ?? table.sectionId}</dd>
        <dt>${t("floor.capacity")}</dt>
        <dd>${t("floor.seats", { seats: table.capacity ?? "?" })}</dd>
        <dt>${t("floor.size")}</dt>
        <dd>${table.width ?? "?"} × ${table.height ?? "?"} (${table.posX ?? "?"}, ${table.posY ?? "?"})</dd>
      </dl>
      <details>
        <summary>${t("floor.fields")}</summary>
        <${Json} value=${table} label=${t("floor.fields")} />
      </details>
    </section>
  `;
}

/** The last changes, the newest first. */
export function Changes({ changes }) {
  const now = useClock();
  return html`
    <section class="card" aria-labelledby="changes-title">
      <h2 id="changes-title">${t("floor.changes")}</h2>
      ${changes.length === 0 && html`<p class="faint">${t("floor.no-changes")}</p>`}
      <ol class="changes">
        ${changes.slice(0, 12).map(
          ({ key, number: of, was, status, at }) => html`
            <li key=${key}>
              <b>${t("floor.table", { number: of ?? "?" })}</b>
              <span class="state-${String(status ?? "gone").toLowerCase()}">${status === undefined ? t("floor.gone") : statusWord(status)}</span>
              <${Age} since=${Date.parse(at) || now} now=${now} />
              ${was !== undefined && html`<small>${t("floor.was", { status: statusWord(was) })}</small>`}
            </li>
          `,
        )}
      </ol>
    </section>
  `;
}
