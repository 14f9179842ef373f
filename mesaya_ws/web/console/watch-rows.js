/**
 * What has arrived on the channels that are watched: the newest rows, within bounds, and those of them that a filter selects.
 *
 * A pause keeps what is shown as it is; what arrives meanwhile waits beside it, within the same bounds, and is not lost.
 *
 * @module
 */

/** A row holds its message as text: that is what is searched, and it is a fraction of what objects would take. */
const MOST = { rows: 5_000, characters: 16 * 2 ** 20 };

/** Characters of a row's line. */
const LINE = 160;

const TELLING = ["title", "name", "clientName", "guestName", "userName", "number", "newStatus", "status", "paymentStatus", "rating", "text", "comment", "amount", "viewers"];

/** Return what a message says in one line. */
export function lineOf(data) {
  if (data === null || typeof data !== "object") return "";
  const parts = [];
  for (const [name, value] of Object.entries(data)) {
    if (Array.isArray(value)) parts.push([TELLING.length, `${name}: ${value.length}`]);
    else if (typeof value === "string" || typeof value === "number") {
      const rank = TELLING.indexOf(name);
      if (rank >= 0) parts.push([rank, name === "number" ? `#${value}` : String(value)]);
    }
  }
  const line = [...new Set(parts.sort(([one], [other]) => one - other).map(([, text]) => text))].join(" · ");
  return line.length > LINE ? `${line.slice(0, LINE - 1)}…` : line;
}

/** Some rows, the oldest first, within the bounds; `dropped` counts those that had to go. */
class Bounded {
  rows = [];
  characters = 0;
  dropped = 0;
  #most;

  constructor(most) {
    this.#most = most;
  }

  /** Add a row; returns how many of the oldest have gone. */
  add(row) {
    this.rows.push(row);
    this.characters += row.text.length;
    return this.#trim();
  }

  #trim() {
    let gone = 0;
    let left = this.rows.length;
    while (left > 1 && (left > this.#most.rows || this.characters > this.#most.characters)) {
      this.characters -= this.rows[gone++].text.length;
      left--;
    }
    if (gone) this.rows.splice(0, gone);
    this.dropped += gone;
    return gone;
  }
}

export class WatchRows {
  #shown;
  #waiting;
  #selected = [];
  #filter = { text: "", type: "" };
  #serial = 0;
  #most;
  isPaused = false;
  /** How many have arrived, by channel. */
  counts = new Map();

  constructor(most = MOST) {
    this.#most = most;
    this.#shown = new Bounded(most);
    this.#waiting = new Bounded(most);
  }

  /** The rows to show, the oldest first. */
  get selected() {
    return this.#selected;
  }

  get total() {
    return this.#shown.rows.length;
  }

  /** How many wait for the end of the pause, and how many of them did not have room. */
  get waiting() {
    return { rows: this.#waiting.rows.length, dropped: this.#waiting.dropped };
  }

  /** Add what has arrived: {kind, channel, type, position?, timestamp?, text, at}. */
  add(kind, channel, { type, position, timestamp, ...rest }, at) {
    const text = JSON.stringify({ type, channel, position, timestamp, ...rest });
    const line = lineOf(rest.data) || rest.reason || "";
    const row = { serial: ++this.#serial, kind, channel, type, position, timestamp, line, text, at };
    this.counts.set(channel, (this.counts.get(channel) ?? 0) + 1);
    if (this.isPaused) this.#waiting.add(row);
    else this.#show(row);
  }

  #show(row) {
    this.#shown.add(row);
    if (this.#matches(row)) this.#selected.push(row);
    const oldest = this.#shown.rows[0].serial;
    let gone = 0;
    while (gone < this.#selected.length && this.#selected[gone].serial < oldest) gone++;
    if (gone) this.#selected.splice(0, gone);
  }

  pause() {
    this.isPaused = true;
  }

  resume() {
    this.isPaused = false;
    const { rows } = this.#waiting;
    this.#waiting = new Bounded(this.#most);
    for (const row of rows) this.#show(row);
  }

  /** Show only rows that hold a text, and whose type begins with another one; gaps are always shown. */
  filter(text, type) {
    this.#filter = { text: text.trim().toLowerCase(), type: type.trim().toLowerCase() };
    this.#selected = this.#shown.rows.filter((row) => this.#matches(row));
  }

  #matches(row) {
    const { text, type } = this.#filter;
    if (row.kind === "gap") return true;
    if (type && !String(row.type).toLowerCase().startsWith(type)) return false;
    return !text || row.text.toLowerCase().includes(text);
  }

  clear() {
    this.#shown = new Bounded(this.#most);
    this.#waiting = new Bounded(this.#most);
    this.#selected = [];
    this.counts.clear();
  }
}
