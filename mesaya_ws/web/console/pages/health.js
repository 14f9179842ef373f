/**
 * Health: how the service is, and how the last minutes were.
 *
 * @module
 */

import { ask } from "../gateway.js";
import { Graph } from "../graph.js";
import { html, useClock, useEffect, useState } from "../html.js";
import { bytes, dateAndTime, duration, number, t } from "../language.js";
import { digest, History, lags, parseMetrics, recordsByTopic } from "../metrics.js";
import { Failure, Table } from "../parts.js";

/** ms between two looks. */
const PERIOD = 2000;

/** Topics and partitions that are listed. */
const MOST_ROWS = 50;

const seconds = (value) => (value === Infinity ? "> 10 s" : value < 1 ? `${number(value * 1000, 1)} ms` : `${number(value, 1)} s`);
const perSecond = (value) => `${number(value, value < 10 ? 1 : 0)}/s`;

/** By name: how its values are written. */
const GRAPHS = {
  sent: perSecond,
  records: perSecond,
  received: perSecond,
  connections: number,
  subscriptions: number,
  lag: number,
  delivery: seconds,
  loop: seconds,
  cpu: (value) => `${number(value * 100)} %`,
  memory: bytes,
  waiting: bytes,
  window: bytes,
};

/** What was measured before stays when somebody comes back to the page. */
const history = new History();

export function HealthPage() {
  const { health, samples, error } = useLooks();
  const now = useClock();
  return html`
    <${Failure} error=${error} />
    ${!health && !error && html`<p class="loading" role="status">${t("health.loading")}</p>`}
    ${health && html`<${Verdict} health=${health} now=${now} />`}
    ${samples &&
    html`
      <ul class="grid graphs" aria-label=${t("health.graphs")}>
        ${Object.entries(GRAPHS).map(([name, write]) => html`<${Graph} key=${name} title=${t(`health.${name}`)} about=${t(`health.${name}.about`)} points=${history.points} name=${name} write=${write} />`)}
      </ul>
      <div class="two">
        <${Lags} rows=${lags(samples)} />
        <${Records} rows=${recordsByTopic(samples)} />
      </div>
    `}
  `;
}

/** Return what the service says of itself, asked again and again while the page is shown. */
function useLooks() {
  const [looked, setLooked] = useState({});
  useEffect(() => {
    const ending = new AbortController();
    let timer;
    const look = async () => {
      if (document.visibilityState !== "hidden") {
        try {
          const options = { signal: ending.signal };
          const [health, text] = await Promise.all([ask("/health", options), ask("/metrics", options)]);
          const samples = parseMetrics(text);
          history.add(digest(samples), performance.now());
          setLooked({ health, samples });
        } catch (error) {
          if (ending.signal.aborted) return;
          setLooked((before) => ({ ...before, error }));
        }
      }
      timer = setTimeout(look, PERIOD);
    };
    look();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, []);
  return looked;
}

function Verdict({ health, now }) {
  const { log } = health;
  return html`
    <section class="card verdict verdict-${health.status}" aria-label=${t("health.verdict")}>
      <div>
        <p class="verdict-word"><span class="lamp lamp-${health.status === "ok" ? "live" : health.status === "degraded" ? "waiting" : "refused"}" aria-hidden="true"></span>${t(`health.status.${health.status}`)}</p>
        ${health.reasons.map((reason) => html`<p lang="en">${reason}</p>`)}
        ${log.troubles.map((trouble) => html`<p lang="en"><code>${trouble.topic}${trouble.partition === null ? "" : ` / ${trouble.partition}`}</code> ${trouble.reason}</p>`)}
      </div>
      <dl>
        <dt>${t("health.up")}</dt>
        <dd>${duration(health.uptime_seconds)}</dd>
        <dt>${t("health.version")}</dt>
        <dd>${health.version}</dd>
        <dt>${t("health.log")}</dt>
        <dd>${t(log.up ? "health.log-up" : "health.log-down")}</dd>
        <dt>${t("health.as-of")}</dt>
        <dd>${log.asOf ? html`${dateAndTime(log.asOf)} <small>(${duration((now - log.asOf) / 1000)})</small>` : "—"}</dd>
      </dl>
    </section>
  `;
}

const Lags = ({ rows }) => html`
  <section class="card" aria-labelledby="lags-title">
    <h2 id="lags-title">${t("health.lags")}</h2>
    ${!rows.length && html`<p class="faint">${t("health.no-lags")}</p>`}
    ${rows.length > 0 &&
    html`
      <${Table} label=${t("health.lags")} heads=${[[t("health.topic")], [t("health.partition"), "amount"], [t("health.lag"), "amount"]]}>
        ${rows.slice(0, MOST_ROWS).map(
          ({ topic, partition, lag }) => html`
            <tr key=${`${topic}/${partition}`}>
              <td>${topic === "all" ? t("health.all-topics") : html`<code>${topic}</code>`}</td>
              <td class="amount">${partition === "all" ? "—" : partition}</td>
              <td class="amount">${number(lag)}</td>
            </tr>
          `,
        )}
      <//>
    `}
    ${rows.length > MOST_ROWS && html`<p class="faint">${t("health.more", { count: number(rows.length - MOST_ROWS) })}</p>`}
  </section>
`;

const Records = ({ rows }) => html`
  <section class="card" aria-labelledby="records-title">
    <h2 id="records-title">${t("health.by-topic")}</h2>
    ${!rows.length && html`<p class="faint">${t("health.no-records")}</p>`}
    ${rows.length > 0 &&
    html`
      <${Table} label=${t("health.by-topic")} heads=${[[t("health.topic")], [t("health.records"), "amount"], [t("health.outcomes")]]}>
        ${rows.slice(0, MOST_ROWS).map(
          ({ topic, total, outcomes }) => html`
            <tr key=${topic}>
              <td><code>${topic}</code></td>
              <td class="amount">${number(total)}</td>
              <td>${outcomes.map(([outcome, count]) => html`<span class=${`outcome${outcome === "published" ? " outcome-good" : ""}`}>${outcome} <b>${number(count)}</b></span> `)}</td>
            </tr>
          `,
        )}
      <//>
    `}
  </section>
`;
