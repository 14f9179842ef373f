/**
 * The conversations of a restaurant, or of a guest, the latest first.
 *
 * @module
 */

import { html, useClock, useEffect, useState, useStore } from "./html.js";
import { number, t } from "./language.js";
import { Age } from "./parts.js";

/** Conversations that are kept; the gateway sends the latest 50, and every one that something happens to. */
const MOST = 200;

const keyOfBoth = ({ restaurantId, userId }) => `${restaurantId} ${userId}`;

/** Return the conversations after a message: {list, more}. */
export function conversationsAfter(before, { type, data }) {
  if (type === "snapshot") return { list: data.conversations, more: data.more };
  if (type !== "chat.conversation" || !before) return before;
  const others = before.list.filter((one) => keyOfBoth(one) !== keyOfBoth(data));
  return { ...before, list: [data, ...others].slice(0, MOST) };
}

/** Return the conversations of an inbox, or {refused} if one may not see it; undefined until that is known. */
export function useConversations(own, channel) {
  const [store, setStore] = useState(undefined);
  const [refused, setRefused] = useState(undefined);
  useEffect(() => {
    if (!own) return undefined;
    const subscription = own.subscribe(channel, { snapshot: true });
    setStore(subscription.store(conversationsAfter));
    subscription.ready.then(() => setRefused(undefined), (error) => error.code !== "closed" && setRefused(error));
    return () => {
      setStore(undefined);
      subscription.close();
    };
  }, [own, channel]);
  const known = useStore(store);
  return refused ? { list: [], refused } : known;
}

export function Inbox({ conversations, chosen, onChoose, nameOf, keyOf }) {
  const now = useClock(5);
  return html`
    <section class="card inbox" aria-label=${t("chat.inbox")}>
      <h2>${t("chat.inbox")}</h2>
      ${conversations?.refused && html`<p class="hint">${conversations.refused.message}</p>`}
      ${conversations && !conversations.refused && !conversations.list.length && html`<p class="faint">${t("chat.none")}</p>`}
      <ul>
        ${conversations?.list.map(
          (one) => html`
            <li key=${keyOf(one)}>
              <button type="button" aria-pressed=${keyOf(one) === chosen} onClick=${() => onChoose(one)}>
                <span class="inbox-name">${nameOf(one)}</span>
                ${one.last && html`<${Age} since=${Date.parse(one.last.sentAt) || now} now=${now} />`}
                <span class="inbox-last">${one.last?.preview ?? t("chat.deleted")}</span>
                ${one.unread > 0 && html`<span class="badge">${number(one.unread)}<span class="unseen"> ${t("chat.unread")}</span></span>`}
              </button>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}
