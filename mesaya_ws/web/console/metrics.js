/**
 * The service's metrics: read from Prometheus' text format, and kept for some minutes.
 *
 * @module
 */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Return the samples of a text by their names: each {labels, value}. What is no sample is passed over. */
export function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const [all, name, labelled = "", number] = LINE.exec(line) ?? [];
    if (!all) continue;
    const value = number === "+Inf" ? Infinity : Number(number);
    if (Number.isNaN(value)) continue;
    const labels = {};
    for (const [, label, words] of labelled.matchAll(LABEL)) labels[label] = words.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value });
  }
  return samples;
}

const sum = (samples, name) => samples.get(name)?.reduce((total, { value }) => total + value, 0);

/** Counters with labels have no sample until something has been counted. */
const count = (samples, name) => sum(samples, name) ?? 0;

/** Return a histogram's counts by the upper bounds of its buckets, in their order; cumulative, as they are exposed. */
function buckets(samples, name) {
  const counts = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([one], [other]) => one - other);
}

/** Return what is kept of a look at the metrics: some numbers, by which the next look says rates. */
export function digest(samples) {
  return {
    totals: {
      sent: sum(samples, "mesaya_messages_sent_total"),
      records: count(samples, "mesaya_records_total"),
      received: count(samples, "mesaya_client_messages_total"),
      requests: count(samples, "mesaya_http_requests_total"),
      cpu: sum(samples, "process_cpu_seconds_total"),
    },
    levels: {
      connections: sum(samples, "mesaya_connections"),
      subscriptions: sum(samples, "mesaya_subscriptions"),
      lag: sum(samples, "mesaya_consumer_lag_records"),
      memory: sum(samples, "process_resident_memory_bytes"),
      waiting: sum(samples, "mesaya_waiting_bytes"),
      window: sum(samples, "mesaya_window_bytes"),
    },
    histograms: { loop: buckets(samples, "mesaya_loop_lag_seconds"), delivery: buckets(samples, "mesaya_delivery_seconds") },
  };
}

/** Return the value below which a share of what was counted between two looks lies, by its bucket's upper bound. */
export function quantile(before, now, share) {
  const known = new Map(before);
  const counts = now.map(([bound, count]) => [bound, count - (known.get(bound) ?? 0)]);
  const total = counts.at(-1)?.[1] ?? 0;
  if (!(total > 0)) return undefined;
  return counts.find(([, count]) => count >= share * total)?.[0];
}

/** What was measured during some minutes: points {at, …values}, the oldest first. A look that follows a restart begins anew. */
export class History {
  points = [];
  #last;
  #ms;

  constructor(minutes = 5) {
    this.#ms = minutes * 60_000;
  }

  add(now, at) {
    const last = this.#last;
    this.#last = { ...now, at };
    if (last && now.totals.records < last.totals.records) this.points = [];
    const seconds = last ? (at - last.at) / 1000 : 0;
    const point = { at, ...now.levels };
    if (seconds > 0 && this.points.length) {
      for (const [name, total] of Object.entries(now.totals)) {
        point[name] = total === undefined || last.totals[name] === undefined ? undefined : Math.max(0, total - last.totals[name]) / seconds;
      }
      point.loop = quantile(last.histograms.loop, now.histograms.loop, 0.99);
      point.delivery = quantile(last.histograms.delivery, now.histograms.delivery, 0.99);
    }
    this.points.push(point);
    while (this.points[0].at < at - this.#ms) this.points.shift();
  }
}

/** Return the lag of each partition, the longest first. */
export function lags(samples) {
  return (samples.get("mesaya_consumer_lag_records") ?? [])
    .map(({ labels, value }) => ({ topic: labels.topic, partition: labels.partition, lag: value }))
    .sort((one, other) => other.lag - one.lag || one.topic.localeCompare(other.topic) || Number(one.partition) - Number(other.partition));
}

/** Return how many records of each topic were read, by what became of them: {topic, total, outcomes: [[outcome, count]]}. */
export function recordsByTopic(samples) {
  const topics = new Map();
  for (const { labels, value } of samples.get("mesaya_records_total") ?? []) {
    const row = topics.get(labels.topic) ?? { topic: labels.topic, total: 0, outcomes: [] };
    row.total += value;
    row.outcomes.push([labels.outcome, value]);
    topics.set(labels.topic, row);
  }
  for (const row of topics.values()) row.outcomes.sort(([, one], [, other]) => other - one);
  return [...topics.values()].sort((one, other) => other.total - one.total);
}
