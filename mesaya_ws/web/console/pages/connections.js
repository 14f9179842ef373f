/**
 * Connections: who is connected to the process that answers, to what, and what waits for them.
 *
 * @module
 */

import { ask } from "../gateway.js";
import { html, useEffect, useSettled, useState } from "../html.js";
import { Icon } from "../icons.js";
import { bytes, duration, number, t, tWord } from "../language.js";
import { Empty, Failure, Table } from "../parts.js";
import { shortName, useRestaurants } from "../restaurants.js";

/** ms between two looks, and connections on a page. */
const PERIOD = 3000;
const LIMIT = 50;

/** Channels that are shown of a connection before somebody asks for all that are listed. */
const FEW = 4;

export function ConnectionsPage() {
  const restaurants = useRestaurants();
  const [user, setUser] = useState("");
  const [channel, setChannel] = useState("");
  const [passed, setPassed] = useState([]);
  const { page, error } = usePage({ user: useSettled(user.trim()), channel: useSettled(channel.trim()), after: passed.at(-1) });
  const filter = (set) => (event) => {
    set(event.target.value);
    setPassed([]);
  };
  return html`
    <div class="toolbar">
      <label class="field inline"><span>${t("connections.user")}</span><input type="search" spellcheck=${false} value=${user} onInput=${filter(setUser)} /></label>
      <label class="field inline grow"><span>${t("connections.channel")}</span><input type="search" spellcheck=${false} placeholder="restaurant:…:tables" value=${channel} onInput=${filter(setChannel)} /></label>
      ${page && html`<p class="aside" role="status">${t("connections.total", { total: number(page.total), process: page.process })}</p>`}
    </div>
    <${Failure} error=${error} />
    ${page && !page.connections.length && html`<${Empty} icon="connections" title=${t("connections.none")} />`}
    ${page?.connections.length > 0 && html`<${Rows} page=${page} restaurants=${restaurants} />`}
    ${page &&
    (passed.length > 0 || page.next) &&
    html`
      <div class="buttons">
        <button type="button" disabled=${!passed.length} onClick=${() => setPassed(passed.slice(0, -1))}>${t("connections.before")}</button>
        <button type="button" disabled=${!page.next} onClick=${() => setPassed([...passed, page.next])}>${t("connections.after")}</button>
      </div>
    `}
  `;
}

/** Return a page of connections, asked again and again while it is shown. */
function usePage({ user, channel, after }) {
  const [answer, setAnswer] = useState({});
  useEffect(() => {
    const ending = new AbortController();
    const query = new URLSearchParams({ limit: LIMIT, ...(user && { user }), ...(channel && { channel }), ...(after && { after }) });
    let timer;
    const look = async () => {
      try {
        if (document.visibilityState !== "hidden") setAnswer({ page: await ask(`/connections?${query}`, { asOperator: true, signal: ending.signal }) });
      } catch (error) {
        if (ending.signal.aborted) return;
        setAnswer({ error });
      }
      timer = setTimeout(look, PERIOD);
    };
    look();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [user, channel, after]);
  return answer;
}

const Rows = ({ page, restaurants }) => html`
  <section class="card">
    <${Table}
      label=${t("connections.title")}
      heads=${[[t("connections.id")], [t("connections.who")], [t("connections.address")], [t("connections.channels")], [t("connections.open"), "amount"], [t("connections.waiting"), "amount"]]}
    >
      ${page.connections.map((one) => html`<${Row} key=${one.id} one=${one} restaurants=${restaurants} />`)}
    <//>
  </section>
`;

function Row({ one, restaurants }) {
  const [isLong, setLong] = useState(false);
  const shown = isLong ? one.channels : one.channels.slice(0, FEW);
  const left = one.subscriptions - shown.length;
  return html`
    <tr>
      <td><code>${one.id}</code>${one.transport === "events" && html` <span class="outcome">/events</span>`}</td>
      <td>${one.user === null ? html`<span class="faint">${t("who.nobody")}</span>` : one.user}${one.roles.length > 0 && html`<br /><small>${one.roles.map((role) => tWord(`role.${role}`, role)).join(", ")}</small>`}</td>
      <td><code>${one.address ?? "—"}</code></td>
      <td>
        <ul class="channels">
          ${shown.map(({ channel, state }) => html`<li key=${channel} title=${channel}>${shortName(channel, restaurants)}${state !== "live" && html` <small>${state}</small>`}</li>`)}
        </ul>
        ${left > 0 &&
        (isLong || one.channels.length === shown.length
          ? html`<small>${t("connections.more", { left: number(left) })}</small>`
          : html`<button type="button" class="small" onClick=${() => setLong(true)}><${Icon} name="plus" />${number(left)}<span class="unseen">${t("connections.more", { left: number(left) })}</span></button>`)}
      </td>
      <td class="amount">${duration(one.seconds)}</td>
      <td class="amount">${one.waitingBytes ? html`<b class="slow">${bytes(one.waitingBytes)}</b>` : "0"}</td>
    </tr>
  `;
}
