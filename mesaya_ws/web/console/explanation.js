/**
 * What a record becomes, shown: the answer of `POST /explain`.
 *
 * @module
 */

import { html } from "./html.js";
import { number, t, tWord } from "./language.js";
import { Json, Table } from "./parts.js";
import { english } from "./texts/en.js";

export function Explanation({ explanation }) {
  const { understood, applied, messages, becomes, because, waitsFor, live } = explanation;
  const isGood = messages.length > 0;
  return html`
    <div class="explanation">
      <section class=${`card verdict ${isGood ? "verdict-ok" : "verdict-degraded"}`} role="status">
        <div>
          <p class="verdict-word">${isGood ? t(messages.length === 1 ? "explain.one" : "explain.several", { count: number(messages.length) }) : t("explain.nothing")}</p>
          <p><code>${becomes}</code> ${tWord(`becomes.${becomes}`, "")}</p>
          ${because !== english[`becomes.${becomes}`] && html`<p lang="en">${because}</p>`}
          ${waitsFor && html`<p>${t("explain.waits")} ${waitsFor.map((one) => html`<code>${one}</code> `)}</p>`}
          ${!live && html`<p>${t("explain.not-live")}</p>`}
        </div>
      </section>
      ${messages.map((message, index) => html`<${Message} key=${index} message=${message} />`)}
      ${understood && html`<${Understood} understood=${understood} />`}
      ${applied && html`<${Applied} applied=${applied} />`}
    </div>
  `;
}

const Message = ({ message }) => html`
  <section class="card message" aria-label=${message.channel}>
    <header>
      <h3>${message.type}</h3>
      ${message.seenByUser !== undefined && html`<span class=${message.seenByUser ? "seen seen-yes" : "seen seen-no"}>${t(message.seenByUser ? "explain.user-sees" : "explain.user-sees-not")}</span>`}
    </header>
    <p><code>${message.channel}</code></p>
    <p class="audience">
      <span>${t("explain.seen-by")}</span>
      ${message.seenBy.map(({ who, user }) => html`<span class="count">${tWord(`explain.who.${who}`, who)}${user ? html` <code>${user}</code>` : ""}</span>`)}
    </p>
    <details>
      <summary>${t("explain.data")}</summary>
      <${Json} value=${message.data} label=${t("explain.data")} />
    </details>
  </section>
`;

const Understood = ({ understood }) => html`
  <section class="card" aria-labelledby="understood-title">
    <h2 id="understood-title">${t("explain.understood")}</h2>
    <dl>
      <dt>${t("explain.entity")}</dt>
      <dd><code>${understood.entity}.${understood.event}</code></dd>
      <dt>${t("explain.id")}</dt>
      <dd><code>${understood.id}</code></dd>
      <dt>${t("explain.time")}</dt>
      <dd><code>${understood.timestamp}</code></dd>
      ${understood.previousStatus && html`<dt>${t("explain.previous")}</dt><dd><code>${understood.previousStatus}</code></dd>`}
      ${understood.leftOut && html`<dt>${t("explain.left-out")}</dt><dd>${understood.leftOut.map((one) => html`<code>${one}</code> `)}</dd>`}
    </dl>
    <details>
      <summary>${t("explain.fields")}</summary>
      <${Json} value=${understood.fields} label=${t("explain.fields")} />
    </details>
  </section>
`;

function Applied({ applied }) {
  const changed = Object.entries(applied.changed);
  const word = !applied.existed && applied.exists ? "created" : applied.existed && !applied.exists ? "deleted" : applied.exists ? "changed" : "unknown";
  return html`
    <section class="card" aria-labelledby="applied-title">
      <h2 id="applied-title">${t("explain.applied")}</h2>
      <p>${t(`explain.applied.${word}`)}${applied.late && html` ${t("explain.late")}`}</p>
      ${changed.length > 0 &&
      html`
        <${Table} label=${t("explain.applied")} heads=${[[t("explain.field")], [t("explain.before")], [t("explain.after")]]}>
          ${changed.map(([name, { before, after }]) => html`<tr key=${name}><td><code>${name}</code></td><td><${Cell} value=${before} /></td><td><${Cell} value=${after} /></td></tr>`)}
        <//>
      `}
    </section>
  `;
}

const CELL = 200;

function Cell({ value }) {
  if (value === null || value === undefined) return html`<span class="faint">—</span>`;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return html`<code>${text.length > CELL ? `${text.slice(0, CELL)}…` : text}</code>`;
}
