/**
 * The gateway that the page came from: the connection to it, who one is there, and what is asked of it by HTTP.
 *
 * Whoever one is: nobody; the one of a token; or, where the gateway believes everybody (AUTH=off), whom one says. Another
 * identity is another connection: `client` changes, and each page subscribes anew.
 *
 * @module
 */

import { MesaYA } from "/client/mesaya-ws.js";
import { useEffect, useStore, Value } from "./html.js";
import { rememberedInTab } from "./memory.js";

const SOCKET = new URL("/ws", location.href).href;

/** What the service says of itself: its version, and whether `auth` is "on" or "off". */
export const service = new Value(undefined);

/** @type {Value} {kind: "nobody"} | {kind: "token", token} | {kind: "named", user, roles} */
export const identity = new Value(rememberedInTab.get("identity") ?? { kind: "nobody" });

/** What publishes by HTTP, and may see what operators may. */
export const publishToken = new Value(rememberedInTab.get("publishToken") ?? "");

export const status = new Value({ state: "connecting", since: Date.now() });

/** Who the gateway says one is: {user?, roles}. */
export const who = new Value({ roles: [] });

/** The last errors that concern the whole page, each {id, code, message}. */
export const notices = new Value([]);
const MOST_NOTICES = 3;
let noticed = 0;

export const client = new Value(connect(identity.get(), true));

/** Return a client with an identity; the `main` one is that of the page, which shows how it is. */
export function connect(one, main = false) {
  const { kind: _, ...options } = one;
  const made = new MesaYA(SOCKET, { ...options, fallback: "sse" });
  if (main) {
    made.on("status", (now) => status.set(now));
    made.on("message", (message) => {
      if (message.type !== "welcome" && message.type !== "authenticated") return;
      who.set({ user: message.user, roles: message.roles ?? [] });
    });
    made.on("error", ({ code, message, channel }) => {
      if (channel === undefined) notice(code, message);
    });
  }
  return made;
}

/** Be somebody else from now on. */
export function become(next) {
  client.get().close();
  rememberedInTab.set("identity", next.kind === "nobody" ? undefined : next);
  identity.set(next);
  who.set({ roles: [] });
  status.set({ state: "connecting", since: Date.now() });
  client.set(connect(next, true));
}

export function keepPublishToken(token) {
  rememberedInTab.set("publishToken", token || undefined);
  publishToken.set(token);
}

export function notice(code, message) {
  const id = ++noticed;
  notices.set((before) => [...before, { id, code, message }].slice(-MOST_NOTICES));
}

export function dismiss(id) {
  notices.set((before) => before.filter((one) => one.id !== id));
}

/** An error that the gateway has answered by HTTP; `status` is 0 where it has not answered. */
export class HttpError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Ask the gateway by HTTP; a `body` is posted. With `asOperator`, what proves that one may is sent along: the token for
 * publishing, or else one's own. Returns the JSON of the answer, or its text. Throws an `HttpError`.
 */
export async function ask(path, { body, asOperator = false, signal } = {}) {
  const own = identity.get();
  const token = publishToken.get() || (own.kind === "token" ? own.token : "");
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(asOperator && token && { Authorization: `Bearer ${token}` }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new HttpError(0, "no_answer", String(error.message ?? error));
  }
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const content = isJson ? await answer.json() : await answer.text();
  if (answer.ok || content?.error === undefined) return content;
  throw new HttpError(answer.status, content.error.code, content.error.message);
}

/** Return the client of the page, and draw the component again when it is another one. */
export const useClient = () => useStore(client);

/** Subscribe to a channel for as long as the component has it; `begin` receives the subscription, and may return its end. */
export function useSubscription(channel, options, begin) {
  const own = useClient();
  useEffect(() => {
    if (!channel) return undefined;
    const subscription = own.subscribe(channel, options);
    const end = begin(subscription);
    return () => {
      end?.();
      subscription.close();
    };
  }, [own, channel]);
}

/** Find out what the service says of itself; again every few seconds until it does. */
export async function findService() {
  try {
    service.set(await ask("/"));
  } catch {
    setTimeout(findService, 3000);
  }
}
