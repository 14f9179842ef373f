// @ts-check
/**
 * What stands in for a WebSocket where those do not pass: a part of `mesaya-ws.js`, which loads it with `fallback: "sse"`.
 *
 * It is used like a WebSocket, and reads `GET /events`, one stream at a time:
 *
 *     what is asked of it                      what it does
 *     subscribe, unsubscribe                   another stream, of the channels that there are then, from their positions
 *     ping                                     likewise: what comes first on it is the answer
 *     auth                                     is refused, as by a gateway that takes tokens in the handshake alone
 *     anything else                            is refused with `no_websocket`: nothing can be sent this way
 *
 * Each event has an id that holds the positions on all channels, so the next stream begins where this one is left.
 *
 * @module
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {{ask: Json, position: string, isAnswered: boolean, isLost: boolean}} Place */

const TOGETHER = 20; // ms for which subscriptions are gathered
const PUBLIC = "global:announcements"; // what is read while nothing is subscribed
const TOO_LONG = [414, 431]; // what the gateway, or a proxy, answers to a URL or a head that is
const FEWER = "Without a WebSocket, these are too many channels for one request: close some subscriptions, then reconnect().";

/** Close codes by what a request is refused with; anything else is a connection that broke. */
const CLOSES = /** @type {Record<string, [number, string]>} */ ({
  bad_token: [4401, "unauthenticated"],
  bad_channel: [1009, "too_many_channels"], // their positions are too long for a head
  too_many_of_user: [4429, "too_many_connections"],
  draining: [1013, "try_again_later"],
  unavailable: [1013, "try_again_later"],
});

export class EventSocket {
  readyState = 0;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  #url;
  #fetch;
  /** @type {Record<string, string>} */
  #headers = { Accept: "text/event-stream" };
  /** @type {Map<string, Place>} By channel. */
  #places = new Map();
  /** @type {AbortController | undefined} That of the stream that is read. */
  #stream;
  /** @type {any} Runs until the next stream is opened. */
  #opening;
  #isPinged = false;

  /** @param {string} url That of the WebSocket. @param {string[]} protocols @param {typeof fetch} [given] */
  constructor(url, [, bearer], given = fetch) {
    this.#url = new URL("events", url.replace(/^ws/, "http").replace(/[?#].*/, "").replace(/\/$/, ""));
    this.#fetch = given;
    if (bearer) this.#headers.Authorization = bearer.replace("bearer.", "Bearer ");
    this.#open();
  }

  /** @param {string} text */
  send(text) {
    const message = JSON.parse(text);
    const { type, channel, id } = message;
    if (type === "subscribe") {
      this.#places.set(channel, { ask: message, position: message.position ?? "", isAnswered: false, isLost: false });
    } else if (type === "unsubscribe") {
      this.#places.delete(channel);
    } else if (type === "ping") {
      this.#isPinged = true;
    } else {
      const code = type === "auth" ? "unknown_type" : "no_websocket";
      if (id !== undefined) queueMicrotask(() => this.#emit({ type: "error", code, message: "This needs a WebSocket.", id, channel }));
      return;
    }
    this.#opening ??= setTimeout(() => this.#open(), TOGETHER);
  }

  close() {
    this.readyState = 3;
    clearTimeout(this.#opening);
    this.#stream?.abort();
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.readyState === 3) return;
    this.close();
    this.onclose?.({ code, reason });
  }

  /** @param {Json} message */
  #emit(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** Read a stream of all channels instead of the present one, of which nothing more is taken. */
  async #open() {
    this.#opening = undefined;
    this.#stream?.abort();
    const stream = (this.#stream = new AbortController());
    const places = new Map(this.#places);
    const url = new URL(this.#url);
    for (const channel of places.size ? places.keys() : [PUBLIC]) url.searchParams.append("channel", channel);
    url.searchParams.set("partial", "1");
    const all = [...places.values()];
    if (all.some((it) => it.ask.snapshot)) url.searchParams.set("snapshot", "1");
    if (all.some((it) => it.ask.presence)) url.searchParams.set("presence", "1");
    url.search = url.search.replaceAll("%3A", ":"); // a quarter shorter, and a head is bounded
    const id = all.map((it) => it.position).join(".");
    const headers = /[^.]/.test(id) ? { ...this.#headers, "Last-Event-ID": id } : this.#headers;
    try {
      const answer = await (0, this.#fetch)(url.href, { headers, signal: stream.signal, cache: "no-store" });
      if (answer.ok) await this.#read(stream, places, /** @type {any} */ (answer.body).getReader());
      else if (TOO_LONG.includes(answer.status)) this.#onRefusal(stream, { error: { code: "bad_channel" } });
      else this.#onRefusal(stream, await answer.json());
    } catch {}
    if (stream === this.#stream) this.#end(1006, "");
  }

  /** @param {AbortController} stream @param {{error: Json}} answer */
  #onRefusal({ signal }, { error }) {
    if (signal.aborted) return;
    const close = CLOSES[error.code] ?? [1006, error.code];
    const message = close[0] === 1009 ? FEWER : error.message;
    this.#emit({ type: "error", code: error.code, message });
    this.#end(...close);
  }

  /** @param {AbortController} stream @param {Map<string, Place>} places @param {any} reader */
  async #read(stream, places, reader) {
    const decoder = new TextDecoder();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const from = Math.max(0, rest.length - 1);
      rest += decoder.decode(value, { stream: true });
      if (rest.indexOf("\n\n", from) < 0) continue;
      const blocks = rest.split("\n\n");
      rest = /** @type {string} */ (blocks.pop());
      for (const block of blocks) {
        if (stream.signal.aborted) return;
        this.#onBlock(places, block);
      }
    }
  }

  /** @param {Map<string, Place>} places @param {string} block */
  #onBlock(places, block) {
    // Not by a pattern: for those, there are more ends of lines than there are in an event.
    const lines = block.split("\n");
    const field = (/** @type {string} */ name) => lines.find((it) => it.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field("data");
    if (data !== undefined) this.#onMessage(places, JSON.parse(data), data);
    const positions = field("id")?.split(".");
    if (positions?.length === places.size) [...places.values()].forEach((it, number) => (it.position = positions[number] || it.position));
  }

  /** @param {Map<string, Place>} places @param {Json} m @param {string} text */
  #onMessage(places, m, text) {
    const place = places.get(m.channel);
    const isOurs = place && this.#places.get(m.channel) === place;
    const pass = () => this.onmessage?.({ data: text });
    switch (m.type) {
      case "close":
        this.#end(m.code, m.name);
        break;
      case "welcome":
        if (this.readyState === 0) {
          this.readyState = 1;
          pass();
        } else if (this.#isPinged) {
          this.#emit({ ...m, type: "pong", positions: {} });
        }
        this.#isPinged = false;
        break;
      case "subscribed":
        // Of a stream that only goes on, nothing is said, unless it does not.
        if (!isOurs || (place.isAnswered && m.recovered !== false)) break;
        place.isAnswered = true;
        place.isLost = m.recovered === false;
        // If another channel wants a snapshot, the id comes with that of this one, which who has not asked for it does not need.
        if (!place.ask.snapshot && !place.isLost) place.position ||= m.position ?? "";
        this.#emit({ ...m, id: place.ask.id });
        break;
      case "error":
        if (!isOurs) break;
        this.#places.delete(m.channel);
        this.#emit({ ...m, id: place.ask.id });
        break;
      case "unsubscribed":
        if (!isOurs) break;
        this.#places.delete(m.channel);
        pass();
        break;
      case "snapshot":
      case "presence":
        // All channels of a stream have them if one wants them.
        if (isOurs && (place.ask[m.type] || (m.type === "snapshot" && (place.isLost || m.recovered === false)))) pass();
        break;
      default:
        if (isOurs || m.channel === undefined) pass();
    }
  }
}
