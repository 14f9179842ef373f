/**
 * Chat: the conversations of a restaurant or of a guest. Where the gateway believes everybody, both sides are shown at once, each with
 * a connection of its own; elsewhere, one's own side.
 *
 * @module
 */

import { Inbox, useConversations } from "../chat-inbox.js";
import { ConversationPanel } from "../chat-panel.js";
import { connect, service, useClient, who } from "../gateway.js";
import { html, useEffect, useRef, useState, useStore } from "../html.js";
import { t } from "../language.js";
import { Empty, RestaurantPicker } from "../parts.js";
import { useRestaurants } from "../restaurants.js";
import { goTo } from "../router.js";

const STAFF = { kind: "named", user: "console-staff", roles: ["ADMIN"] };
const ID = /^[A-Za-z0-9._~-]{1,128}$/;

export function ChatPage({ query }) {
  const said = useStore(service);
  const restaurants = useRestaurants();
  const restaurant = query.get("restaurant") ?? restaurants?.[0]?.restaurantId;
  const show = (change) => goTo("chat", { ...(restaurant && { restaurant }), ...Object.fromEntries(query), ...change });
  if (restaurants && !restaurants.length && !restaurant) {
    return html`<${Empty} icon="chat" title=${t("floor.nothing")}><p>${t("floor.nothing-about")}</p><pre class="command">scripts/serve --demo</pre><//>`;
  }
  if (!said || !restaurant) return html`<p class="loading" role="status">${t("chat.loading")}</p>`;
  const Sides = said.auth === "off" ? BothSides : OwnSide;
  return html`<${Sides} key=${restaurant} restaurant=${restaurant} restaurants=${restaurants} guest=${query.get("guest") ?? undefined} show=${show} />`;
}

function BothSides({ restaurant, restaurants, guest, show }) {
  const staff = useConnection(STAFF);
  const conversations = useConversations(staff, `restaurant:${restaurant}:chats`);
  const first = useFirst(conversations, "restaurant");
  const chosen = guest ?? first?.userId;
  const visitor = useConnection(chosen && { kind: "named", user: chosen, roles: ["USER"] });
  const name = conversations?.list.find((one) => one.userId === chosen)?.guestName ?? chosen;
  return html`
    <div class="toolbar">
      <${RestaurantPicker} restaurants=${restaurants} value=${restaurant} onChoose=${(id) => show({ restaurant: id, guest: undefined })} />
      <${GuestForm} onChoose=${(id) => show({ guest: id })} />
    </div>
    <div class="chat chat-both">
      <${Inbox} conversations=${conversations} chosen=${chosen} onChoose=${({ userId }) => show({ guest: userId })} nameOf=${(one) => one.guestName ?? one.userId} keyOf=${(one) => one.userId} />
      ${!chosen && html`<${Empty} icon="chat" title=${t("chat.none")}><p>${t("chat.none-about")}</p><//>`}
      ${chosen && visitor && html`<${ConversationPanel} key=${`guest ${chosen}`} own=${visitor} side="guest" restaurant=${restaurant} guest=${chosen} title=${name} />`}
      ${chosen && staff && html`<${ConversationPanel} key=${`restaurant ${chosen}`} own=${staff} side="restaurant" restaurant=${restaurant} guest=${chosen} title=${nameOf(restaurants, restaurant)} />`}
    </div>
  `;
}

const nameOf = (restaurants, id) => restaurants?.find((one) => one.restaurantId === id)?.name ?? id;

function OwnSide({ restaurant, restaurants, guest, show }) {
  const own = useClient();
  const { user, roles } = useStore(who);
  const [chosenSide, setSide] = useState(undefined);
  const side = chosenSide ?? (roles.some((role) => role !== "USER") ? "restaurant" : "guest");
  const conversations = useConversations(user && own, side === "guest" ? `user:${user}:chats` : `restaurant:${restaurant}:chats`);
  const first = useFirst(conversations, side);
  if (!user) return html`<${Empty} icon="user" title=${t("chat.sign-in")}><p>${t("chat.sign-in-about")}</p><//>`;
  const isGuest = side === "guest";
  const other = isGuest ? user : (guest ?? first?.userId);
  const choose = (one) => show(isGuest ? { restaurant: one.restaurantId } : { guest: one.userId });
  return html`
    <div class="toolbar">
      <div class="segments tabs" role="group" aria-label=${t("chat.side")}>
        ${["guest", "restaurant"].map((name) => html`<button type="button" aria-pressed=${name === side} onClick=${() => setSide(name)}>${t(`chat.as-${name}`)}</button>`)}
      </div>
      <${RestaurantPicker} restaurants=${restaurants} value=${restaurant} onChoose=${(id) => show({ restaurant: id, guest: undefined })} />
    </div>
    <div class="chat">
      <${Inbox}
        conversations=${conversations}
        chosen=${isGuest ? restaurant : other}
        onChoose=${choose}
        nameOf=${(one) => (isGuest ? (one.restaurantName ?? one.restaurantId) : (one.guestName ?? one.userId))}
        keyOf=${(one) => (isGuest ? one.restaurantId : one.userId)}
      />
      ${other
        ? html`<${ConversationPanel} key=${`${side} ${other}`} own=${own} side=${side} restaurant=${restaurant} guest=${other} title=${isGuest ? nameOf(restaurants, restaurant) : (conversations?.list.find((one) => one.userId === other)?.guestName ?? other)} />`
        : html`<${Empty} icon="chat" title=${t("chat.none")} />`}
    </div>
  `;
}

/** Return the conversation that was the latest when the list of a side came: what is shown does not change by itself. */
function useFirst(conversations, side) {
  const first = useRef({});
  first.current[side] ??= conversations?.list[0];
  return first.current[side];
}

/** Return a connection of one who is not the page's own user, for as long as the component is there. */
function useConnection(one) {
  const [own, setOwn] = useState(undefined);
  const said = one && JSON.stringify(one);
  useEffect(() => {
    if (!said) return undefined;
    const made = connect(JSON.parse(said));
    setOwn(made);
    return () => {
      setOwn(undefined);
      made.close();
    };
  }, [said]);
  return own;
}

function GuestForm({ onChoose }) {
  const [id, setId] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (ID.test(id.trim())) onChoose(id.trim());
    setId("");
  };
  return html`
    <form class="toolbar grow" onSubmit=${submit}>
      <label class="field inline grow"><span>${t("chat.guest")}</span><input required pattern="[A-Za-z0-9._~\\-]{1,128}" title=${t("who.user-form")} placeholder=${t("chat.guest-hint")} autocomplete="off" spellcheck=${false} value=${id} onInput=${(event) => setId(event.target.value)} /></label>
      <button>${t("chat.open")}</button>
    </form>
  `;
}
