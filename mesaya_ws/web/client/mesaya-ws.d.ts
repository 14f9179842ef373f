/// <reference lib="esnext.disposable" />

/**
 * The client of the gateway, as `/client/mesaya-ws.js` offers it.
 *
 * Channels, messages and codes are those of the gateway's protocol.
 */

import type { MessageOf } from "./mesaya-ws-messages.js";
export * from "./mesaya-ws-messages.js";

/** How a client connects. */
export interface Options {
  /**
   * Who the user is: a token of the platform, or what gets one. It is called before every connection ("connect"), before
   * the present token ends ("expiring"), and when it was not accepted ("rejected"), never twice at once, in one tab at a
   * time where the browser has `navigator.locks`. `null` is anonymous. When it throws, or has not answered after 30 s, it is
   * called again after a pause.
   */
  token?: string | ((why: "connect" | "expiring" | "rejected") => Promise<string | null>);
  /**
   * Where positions are kept beyond the life of the client, such as `localStorage`: a later subscription without `snapshot`
   * resumes from there. What a `Storage` has had for 30 days without use is forgotten when a client is made; one that throws
   * is passed over. By default, they are in memory, and end with their channel.
   */
  positions?: Record<string, string> | Pick<Storage, "getItem" | "setItem">;
  /**
   * Who the client says it is, where the gateway believes that (`AUTH=off`, for development); with `roles`, such as `OWNER`.
   * Elsewhere it is refused, and a token is needed.
   */
  user?: string;
  roles?: string[];
  /** Seconds after which a hidden page gives up its connection until it is visible again; 300 by default, 0 for never. */
  pauseWhenHiddenFor?: number;
  /**
   * `"sse"`: where WebSockets do not pass, read events by HTTP, without a gap between the two ways; try a WebSocket again from
   * time to time, and use it once one passes. Nothing can be sent meanwhile: what would be is rejected with `no_websocket`.
   */
  fallback?: "sse" | false;
  /** What to use for it, by default the global one. */
  fetch?: typeof fetch;
  /** The class to use, by default the global one. Node before 22 has none: pass that of the package `ws`. */
  WebSocket?: unknown;
  /** Whether to log what becomes of the connection, or where to. Tokens and messages are never logged. */
  debug?: boolean | ((line: string) => void);
}

/**
 * - `connecting`: there is no connection yet, or not any more; an attempt is under way, or follows in `retryIn` seconds.
 * - `live`: connected, and the gateway is up to date.
 * - `behind`: connected, but the gateway has not read the log to its end, or cannot read a part of it now.
 * - `offline`: like `connecting`, and the browser says that there is no network.
 * - `paused`: the page has been hidden for long; it connects when it is visible.
 * - `refused`: another attempt would end in the same way, for the `reason`. `authenticate` and `reconnect` try again.
 * - `closed`: by `close`, for good.
 */
export type State = "connecting" | "live" | "behind" | "offline" | "paused" | "refused" | "closed";

/** What can be said of the connection; each change is another object. */
export interface Status {
  readonly state: State;
  /** When the state began, in ms since 1970. */
  readonly since: number;
  /** All that happened before this time (ms since 1970, the gateway's clock) has been published. */
  readonly asOf?: number;
  /** Records that are known to be in the log and have not been published yet. */
  readonly lag?: number;
  /** Who the gateway says the user is; undefined for anonymous. */
  readonly user?: string;
  /** Seconds of the pause before the next attempt, from when this status began. */
  readonly retryIn?: number;
  /** Why there is no connection; `code` is a close code, 1006 for one that broke, 0 where none was tried. */
  readonly reason?: { code: number; name: string; message: string };
}

/** What the gateway refuses. `code` is one of its error codes, or the reason for which a subscription has ended. */
export declare class MesaYAError extends Error {
  constructor(code: string, message: string, channel?: string, answer?: AnyMessage);
  readonly code: string;
  readonly channel?: string;
  /** What the gateway has answered, if it has: with `retryIn`, `until` and the like. */
  readonly answer?: AnyMessage;
}

/** Any message of the gateway. */
export interface AnyMessage {
  readonly type: string;
  readonly channel?: string;
  readonly [field: string]: unknown;
}

/** The data of an entity: ids have names, status words are in lower case, the rest is as the platform wrote it. */
export type Data = Readonly<Record<string, any>>;

/** An event of a channel. `type` tells what has happened to what. */
export interface Message<Type extends string = string> {
  readonly type: Type;
  readonly channel: string;
  readonly position: string;
  /** When it happened, as the platform says it. */
  readonly timestamp: string;
  readonly data: Data;
}

/** The state of a channel as of its position: it replaces all that was received before. */
export interface Snapshot {
  readonly type: "snapshot";
  readonly channel: string;
  readonly position: string;
  /** False when the log does not reach back far enough to know everything, or cannot be read in part. */
  readonly complete: boolean;
  /** Lists of entities, such as `tables`, `sections` and `sectionObjects`. */
  readonly data: Data;
}

/**
 * Messages may be missing here, and a snapshot follows. `reason` is one of the protocol, or `resubscribed`: another
 * subscription needed the state, so it was asked for again; what follows it may have been received before.
 */
export interface Gap {
  readonly type: "gap";
  readonly channel: string;
  readonly reason: string;
}

/** A client, which connects by itself as soon as it is made, and stays connected until it is closed. */
export declare class MesaYA implements Disposable {
  /** `url` is that of the gateway's WebSocket, `wss://host/ws`; http(s) and a path of the page's own host will do. */
  constructor(url: string | URL, options?: Options);
  readonly status: Status;
  /** Call `listener` for each event until the result is called, or `signal` is aborted. */
  on<E extends keyof ClientEvents>(
    event: E,
    listener: (event: ClientEvents[E]) => void,
    options?: { signal?: AbortSignal },
  ): () => void;
  /**
   * Subscribe now and on every later connection. Several subscriptions to a channel are one for the gateway, which ends
   * 100 ms after the last of them is closed.
   */
  subscribe<Channel extends string>(channel: Channel, options?: SubscribeOptions): Subscription<MessageOf<Channel>>;
  /**
   * Publish on a channel that takes messages: a chat message `{ text, attachments?, replyTo? }` on a conversation. Resolves
   * when it has been read back from the log. Until then it is sent again, on whatever connection, and counts once, by its
   * `id`, which is a new one unless given. `chat` does so, and shows what comes of it. Rejects with a `MesaYAError` when the
   * gateway refuses it, also as `rate_limited` for more than a minute, when the client is closed, when the user signs out or
   * is another one (`signed_out`), and when 100 wait already; with the reason of `signal` when that is aborted. In the last
   * cases it may have been published by then.
   */
  publish(channel: string, data: unknown, options?: { id?: string; signal?: AbortSignal }): Promise<{ position: string; id: string }>;
  /**
   * Take part in the conversation of a restaurant with a guest, who is the client's own user unless one is given. It is
   * subscribed to until `close`.
   */
  chat(restaurant: string, user?: string): Chat;
  /** Take note of a new reservation, for its restaurant. Sent again, and rejected, like what is published. */
  ack(reservation: string): Promise<void>;
  /**
   * Keep tables of a restaurant free for the client's own user, for some minutes: as such, or `from` some time `to` another,
   * 90 minutes later by default. Rejects with a `MesaYAError`, whose `code` is `conflict` when somebody else holds one of them.
   */
  hold(restaurant: string, tables: string[], options?: { from?: Date; to?: Date; signal?: AbortSignal }): Promise<Hold>;
  /**
   * Get a token from the token source, and show it to the gateway: after the user has signed in. Resolves when the gateway
   * has accepted it; rejects with a `MesaYAError` when it has not.
   */
  authenticate(): Promise<void>;
  /** Be anonymous until `authenticate` is called. What has not been answered yet is rejected with `signed_out`, and holds have ended. */
  signOut(): void;
  /** Give up the connection, if there is one, and dial at once. */
  reconnect(): void;
  /** End all subscriptions and the connection, for good. */
  close(): void;
  [Symbol.dispose](): void;
}

export interface ClientEvents {
  status: Status;
  /** Every message of the gateway, of whatever type. */
  message: AnyMessage;
  error: MesaYAError;
  /** The gateway does not know the user any more; private channels wait for `authenticate`. */
  signedOut: { reason: "expired" | "revoked" | "signed-out" };
}

export interface SubscribeOptions {
  /** Begin with the state of the channel. */
  snapshot?: boolean;
  /** Resume from here; without effect on a channel that is subscribed already. */
  position?: string;
  /**
   * Begin with so many of the last events, up to 100, as far as the gateway has them in memory; where there is a position to
   * resume from, with what was missed, and with `snapshot` with the state. Not over the fallback.
   */
  history?: number;
  /** Receive `presence`. */
  presence?: boolean;
  /** Close the subscription when it is aborted. */
  signal?: AbortSignal;
}

/**
 * A subscription to a channel, across connections. Iterate over it, listen to it, or make a store of it. With `snapshot`,
 * each of these begins with the state, however late it comes.
 */
export interface Subscription<M> extends AsyncIterable<M | Snapshot | Gap>, Disposable {
  readonly channel: string;
  readonly state: "waiting" | "live" | "ended";
  /** That of the last message. */
  readonly position?: string;
  /**
   * The gateway's first answer: whether it has resumed from a position, and how many missed messages follow. Rejects with a
   * `MesaYAError` when it refuses, or when the subscription is closed before.
   */
  readonly ready: Promise<{ recovered: boolean; replayed: number; reason?: string }>;
  on(event: "message", listener: (message: M) => void): () => void;
  on(event: "snapshot", listener: (data: Data, position: string) => void): () => void;
  on(event: "gap", listener: (gap: Gap) => void): () => void;
  /**
   * How many users are on the channel; of a conversation, which sides. At once, and when it changes, for subscriptions with
   * the option `presence`; never in an iteration or a store.
   */
  on(event: "presence", listener: (presence: Presence) => void): () => void;
  /**
   * The gateway, or the client, has ended it. `again`: it waits, and comes back by itself once the gateway accepts another
   * token; otherwise it is over.
   */
  on(event: "ended", listener: (why: { reason: string; again: boolean }) => void): () => void;
  /** Return one value made of snapshot and messages; `reduce` returns the next value, or the same if nothing changes. */
  store<S>(reduce: (state: S | undefined, message: M | Snapshot) => S): Store<S>;
  close(): void;
}

/** A value that changes: for React's `useSyncExternalStore`, RxJS's `from`, Angular's signals, Svelte. */
export interface Store<S> {
  get(): S | undefined;
  subscribe(listener: () => void): () => void;
  [Symbol.observable](): {
    subscribe(observer: Partial<{ next(value: S): void }>): { unsubscribe(): void };
  };
}

/** Who is on a channel now. */
export interface Presence {
  readonly channel: string;
  /** Exact up to 20, then two digits; users, not connections. */
  readonly viewers: number;
  /** Of a conversation: whether each side is there; it has no `viewers`. */
  readonly guest?: boolean;
  readonly restaurant?: boolean;
}

/** A message of a conversation, as it stands. */
export interface ChatMessage {
  readonly messageId: string;
  readonly restaurantId: string;
  /** The guest, whose conversation it is. */
  readonly userId: string;
  readonly from: "guest" | "restaurant";
  readonly authorId: string;
  readonly authorName: string | null;
  /** Null once it is deleted. It is text, and never HTML. */
  readonly text: string | null;
  readonly attachments: readonly string[];
  readonly replyTo: string | null;
  /** The log's time; null for what is on its way. */
  readonly sentAt: string | null;
  readonly editedAt?: string;
  readonly deletedBy?: "guest" | "restaurant" | "admin";
  readonly position?: string;
  /** `pending` and `failed` are those of this client that the log does not have. */
  readonly status: "pending" | "sent" | "failed";
  /** Of one that is on its way. */
  readonly sent?: Sent;
}

/** One conversation, of a guest and a restaurant. */
export interface Chat extends Disposable {
  /** In the order of the log; what is on its way comes last. Up to 5,000. */
  readonly messages: Store<readonly ChatMessage[]>;
  /** How many messages of the other side have not been read, on any device. */
  readonly unread: Store<number>;
  /** The other sides that are typing: `guest` or `restaurant`. */
  readonly typing: Store<readonly string[]>;
  /** Send a message. It is in `messages` at once, and sent again until the log has it, or the gateway refuses it. */
  send(text: string, attachments?: string[]): Sent;
  edit(id: string, text: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Mark all as read, or up to a position; on all devices of this side. */
  read(upTo?: string): void;
  /** The user is typing; to be called at each key. */
  type(): void;
  /** Load older messages; resolves with whether there are more. */
  more(): Promise<boolean>;
  close(): void;
}

/** A message of a chat that was sent by this client. */
export interface Sent {
  readonly id: string;
  readonly status: "pending" | "sent" | "failed";
  /** Resolves once the log has it; rejects when it is refused or dropped. `retry` makes another one. */
  readonly done: Promise<{ position: string }>;
  /** Send it again, under the same id, so that it counts once. */
  retry(): void;
  /** Give it up. If it is in the log by then, it stays there. */
  drop(): void;
}

/** Tables that are kept free. */
export interface Hold extends Disposable {
  readonly id: string;
  /** Grows with every hold that is granted: whoever writes reservations refuses lower ones. */
  readonly token: number;
  readonly tables: readonly string[];
  /** Seconds for which it still holds. */
  remaining(): number;
  /** Why it has ended, once it has; `disconnected` also when the user has signed out. */
  readonly ended: Promise<"released" | "expired" | "reserved" | "disconnected">;
  /** Give it up; resolves once everybody knows, and rejects when the user has signed out before. */
  release(): Promise<void>;
}

declare global {
  interface SymbolConstructor {
    readonly observable: symbol;
  }
}
