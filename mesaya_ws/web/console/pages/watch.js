/**
 * Watch: what arrives on some channels, as it arrives.
 *
 * @module
 */

import { client } from "../gateway.js";
import { html, oncePerFrame, useClock, useEffect, useMemo, useRef, useState, useStore } from "../html.js";
import { Icon } from "../icons.js";
import { dateAndTime, number, t } from "../language.js";
import { Age, CopyButton, Empty, Json } from "../parts.js";
import { shortName, useRestaurants } from "../restaurants.js";
import { goTo } from "../router.js";
import { WatchRows } from "../watch-rows.js";
import { WatchedChannels } from "../watched-channels.js";
import { RowList } from "./watch-list.js";

const OF_ALL = ["global:restaurants", "global:announcements"];
const OF_RESTAURANT = ["tables", "menu", "reviews", "info", "reservations", "chats"];
const PUBLIC = ["tables", "menu", "reviews", "info"];
const MOST_CHANNELS = 30;

export function WatchPage({ query }) {
  const channels = useMemo(() => [...new Set(query.getAll("channel"))].slice(0, MOST_CHANNELS), [query.toString()]);
  const restaurants = useRestaurants();
  const { rows, states, from } = useRows(channels);
  const [text, setText] = useState("");
  const [type, setType] = useState("");
  const [chosen, setChosen] = useState(undefined);
  useMemo(() => rows.filter(text, type), [rows, text, type]);

  const show = (names) => goTo("watch", names.map((name) => ["channel", name]));
  const add = (...names) => show([...channels, ...names]);
  if (!channels.length) {
    return html`
      <${AddChannel} restaurants=${restaurants} onAdd=${add} />
      <${Empty} icon="watch" title=${t("watch.empty")}>
        <p>${t("watch.empty-about")}</p>
        <div class="suggestions">
          <button type="button" onClick=${() => add(...OF_ALL)}>${t("watch.all")}</button>
          ${(restaurants ?? []).slice(0, 6).map(
            ({ restaurantId, name }) => html`
              <button type="button" onClick=${() => add(...PUBLIC.map((kind) => `restaurant:${restaurantId}:${kind}`))}>${name ?? restaurantId}</button>
            `,
          )}
        </div>
      <//>
    `;
  }
  const { waiting } = rows;
  const toggle = () => (rows.isPaused ? rows.resume() : rows.pause(), from.redraw());
  return html`
    <${AddChannel} restaurants=${restaurants} onAdd=${add} />
    <ul class="chips" aria-label=${t("watch.channels")}>
      ${channels.map(
        (name) => html`
          <li key=${name} class="chip">
            <${ChannelState} state=${states.get(name)} />
            <span class="chip-name" title=${name}>${shortName(name, restaurants)}</span>
            <span class="count">${number(rows.counts.get(name) ?? 0)}</span>
            <button type="button" class="plain" onClick=${() => show(channels.filter((one) => one !== name))}>
              <${Icon} name="close" /><span class="unseen">${t("watch.remove", { name })}</span>
            </button>
          </li>
        `,
      )}
    </ul>
    <div class="toolbar">
      <button type="button" class="main" aria-pressed=${rows.isPaused} onClick=${toggle}>
        <${Icon} name=${rows.isPaused ? "play" : "pause"} />${t(rows.isPaused ? "watch.go-on" : "watch.pause")}
      </button>
      <label class="field inline grow"><span>${t("watch.filter")}</span><input type="search" placeholder=${t("watch.filter-hint")} value=${text} onInput=${(event) => setText(event.target.value)} /></label>
      <label class="field inline"><span>${t("watch.type")}</span><input type="search" placeholder="table." size="10" value=${type} onInput=${(event) => setType(event.target.value)} /></label>
      <button type="button" onClick=${() => (rows.clear(), setChosen(undefined), from.redraw())}><${Icon} name="clear" />${t("watch.clear")}</button>
      <p class="aside" role="status">
        ${rows.isPaused
          ? t(waiting.dropped ? "watch.waiting-dropped" : "watch.waiting", { rows: number(waiting.rows), dropped: number(waiting.dropped) })
          : t("watch.shown", { rows: number(rows.selected.length), total: number(rows.total) })}
      </p>
    </div>
    <div class="watch">
      <${RowList} rows=${rows.selected} version=${from.version} chosen=${chosen} onChoose=${setChosen} restaurants=${restaurants} />
      ${chosen && html`<${Details} row=${chosen} onResume=${from.resume} onClose=${() => setChosen(undefined)} />`}
    </div>
  `;
}

const ChannelState = ({ state = { name: "waiting" } }) => html`
  <span class="lamp lamp-${state.name}" title=${state.reason ?? t(`watch.state.${state.name}`)}><span class="unseen">${state.reason ?? t(`watch.state.${state.name}`)}</span></span>
`;

/** Return the rows of channels, how each channel is, and how to subscribe to one `from` a position. */
function useRows(channels) {
  const own = useStore(client);
  const [version, setVersion] = useState(0);
  const [turn, setTurn] = useState(0);
  const rows = useMemo(() => new WatchRows(), []);
  const states = useRef(new Map()).current;
  const redraw = useMemo(() => oncePerFrame(() => setVersion((count) => count + 1)), []);
  const watched = useMemo(() => new WatchedChannels(), []);

  useEffect(() => {
    watched.follow(channels, (name, position) => follow(own, name, rows, states, redraw, position));
    for (const name of [...states.keys()]) if (!channels.includes(name)) states.delete(name);
    redraw();
  }, [own, channels, turn]);
  useEffect(
    () => () => {
      watched.leaveAll();
      states.clear();
    },
    [own],
  );
  useEffect(() => redraw.cancel, []);

  const resume = ({ channel, position }) => {
    if (!watched.resume(channel, position, () => setTurn((count) => count + 1))) return;
    states.set(channel, { name: "waiting" });
    redraw();
  };
  return { rows, states, from: { version, redraw, resume } };
}

/** Subscribe to a channel, and add what arrives to the rows; returns how to leave it. */
function follow(own, name, rows, states, redraw, position) {
  const subscription = own.subscribe(name, position === undefined ? { snapshot: true } : { position });
  const add = (kind, message) => {
    rows.add(kind, name, message, Date.now());
    redraw();
  };
  const isAt = (state, reason) => {
    states.set(name, { name: state, reason });
    redraw();
  };
  isAt("waiting");
  subscription.on("message", (message) => add("message", message));
  subscription.on("snapshot", (data, at) => add("snapshot", { type: "snapshot", position: at, data }));
  subscription.on("gap", ({ reason }) => add("gap", { type: "gap", reason }));
  subscription.on("ended", ({ reason, again }) => {
    isAt("refused", t("watch.ended", { reason }));
    add("gap", { type: again ? "waiting" : "ended", reason });
  });
  subscription.ready.then(
    ({ recovered, replayed, reason }) => {
      isAt("live");
      if (position !== undefined) add("note", { type: "resumed", position, recovered, replayed, reason, data: { title: t(recovered ? "watch.resumed" : "watch.not-resumed", { replayed, reason }) } });
    },
    (error) => error.code !== "closed" && isAt("refused", error.message),
  );
  return () => subscription.close();
}

function AddChannel({ restaurants, onAdd }) {
  const [name, setName] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (name.trim()) onAdd(name.trim());
    setName("");
  };
  const known = (restaurants ?? []).slice(0, 50).flatMap(({ restaurantId, name: of }) => OF_RESTAURANT.map((kind) => [`restaurant:${restaurantId}:${kind}`, of]));
  return html`
    <form class="toolbar" onSubmit=${submit}>
      <label class="field inline grow">
        <span>${t("watch.channel")}</span>
        <input list="channels" placeholder="restaurant:…:tables" autocomplete="off" spellcheck=${false} value=${name} onInput=${(event) => setName(event.target.value)} />
      </label>
      <datalist id="channels">
        ${OF_ALL.map((one) => html`<option value=${one} />`)} ${known.map(([one, of]) => html`<option value=${one} label=${of} />`)}
      </datalist>
      <button><${Icon} name="plus" />${t("watch.add")}</button>
    </form>
  `;
}

function Details({ row, onResume, onClose }) {
  const now = useClock();
  const message = useMemo(() => JSON.parse(row.text), [row]);
  return html`
    <section class="details" aria-label=${t("watch.details")}>
      <header>
        <h2>${row.type}</h2>
        <button type="button" class="plain" onClick=${onClose}><${Icon} name="close" /><span class="unseen">${t("watch.close")}</span></button>
      </header>
      <dl>
        <dt>${t("watch.channel")}</dt>
        <dd><code>${row.channel}</code></dd>
        <dt>${t("watch.arrived")}</dt>
        <dd>${dateAndTime(row.at)} (<${Age} since=${row.at} now=${now} />)</dd>
        ${row.position && html`<dt>${t("watch.position")}</dt><dd><code>${row.position}</code></dd>`}
      </dl>
      <div class="buttons">
        ${row.position && html`<button type="button" onClick=${() => onResume(row)}><${Icon} name="back" />${t("watch.resume-here")}</button>`}
        <${CopyButton} text=${JSON.stringify(message, null, 2)} />
      </div>
      <${Json} value=${message.data ?? message} label=${t("watch.json")} />
    </section>
  `;
}
