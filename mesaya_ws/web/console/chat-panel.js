/**
 * One side of a conversation: what was said, and what is being written.
 *
 * @module
 */

import { html, useEffect, useRef, useState, useStore } from "./html.js";
import { Icon } from "./icons.js";
import { dateAndTime, number, t, timeOfDay } from "./language.js";

/** Messages that are elements of the page; older ones are there again by the button. */
const SHOWN = 200;

/** px from the end of the list within which whoever reads follows what comes. */
const NEAR = 60;

/** Return what is known of a conversation beside its messages: up to where each side has read, and whether the guest is blocked. */
export function sidesAfter(before, { type, data }) {
  if (type === "snapshot") return { read: data.read, isBlocked: data.blocked };
  if (type === "chat.read") return { ...before, read: { ...before?.read, [data.by]: data.upTo } };
  if (type === "chat.blocked") return { ...before, isBlocked: data.blocked };
  return before;
}

export function ConversationPanel({ own, side, restaurant, guest, title }) {
  const { chat, sides, presence, error } = useConversation(own, restaurant, guest);
  const messages = useStore(chat?.messages) ?? [];
  const unread = useStore(chat?.unread) ?? 0;
  const typing = useStore(chat?.typing) ?? [];
  const [failure, setFailure] = useState(undefined);
  const [editing, setEditing] = useState(undefined);
  const other = side === "guest" ? "restaurant" : "guest";
  const log = useRef(null);
  const isNear = useRef(true);
  useEffect(() => {
    if (isNear.current && log.current) log.current.scrollTop = log.current.scrollHeight;
  }, [messages.length, typing.length]);

  const mark = messages.findLastIndex((one) => one.position && one.position === sides?.read?.[other]);
  const seen = messages.findLastIndex((one, index) => index <= mark && one.from === side);
  const attempt = (doing) => doing.then(() => setFailure(undefined), setFailure);
  const read = () => unread > 0 && chat?.read();
  const onScroll = ({ target }) => (isNear.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR);
  return html`
    <section class="card talk talk-${side}" aria-label=${t(`chat.side-${side}`)} onPointerDown=${read} onfocusin=${read}>
      <header>
        <div>
          <p class="talk-side">${t(`chat.side-${side}`)}</p>
          <h2>${title}</h2>
        </div>
        ${presence && html`<span class="talk-there"><span class=${`lamp ${presence[other] ? "lamp-live" : "lamp-offline"}`} aria-hidden="true"></span>${t(presence[other] ? `chat.${other}-there` : `chat.${other}-away`)}</span>`}
        ${unread > 0 && html`<span class="badge">${number(unread)}<span class="unseen"> ${t("chat.unread")}</span></span>`}
      </header>
      <div class="talk-log" role="log" tabindex="0" aria-label=${t("chat.messages")} ref=${log} onScroll=${onScroll}>
        <${More} chat=${chat} attempt=${attempt} />
        ${messages.slice(-SHOWN).map(
          (one, index, shown) => html`<${Said} key=${one.messageId} message=${one} isOwn=${one.from === side} mayRemove=${one.from === side || side === "restaurant"} isSeen=${seen === messages.length - shown.length + index} onEdit=${() => setEditing(one)} onRemove=${() => attempt(chat.remove(one.messageId))} />`,
        )}
      </div>
      <p class="talk-typing" role="status">${typing.includes(other) ? t(`chat.${other}-types`) : ""}</p>
      ${sides?.isBlocked && html`<p class="hint">${t("chat.blocked")}</p>`}
      ${(failure ?? error) && html`<p class="failure" role="alert"><code>${(failure ?? error).code}</code> ${(failure ?? error).message}</p>`}
      <${Writing} key=${editing?.messageId ?? "new"} chat=${chat} editing=${editing} onDone=${() => setEditing(undefined)} attempt=${attempt} onSend=${() => (isNear.current = true)} />
    </section>
  `;
}

/** Take part in a conversation for as long as the component is there. */
function useConversation(own, restaurant, guest) {
  const [known, setKnown] = useState({});
  useEffect(() => {
    const chat = own.chat(restaurant, guest);
    const subscription = own.subscribe(`restaurant:${restaurant}:chat:${guest}`, { snapshot: true, presence: true });
    const change = (what) => setKnown((before) => ({ ...before, ...what }));
    subscription.on("presence", (presence) => change({ presence }));
    subscription.ready.then(() => change({ error: undefined }), (error) => error.code !== "closed" && change({ error }));
    setKnown({ chat, sides: subscription.store(sidesAfter) });
    return () => {
      subscription.close();
      chat.close();
    };
  }, [own, restaurant, guest]);
  return { ...known, sides: useStore(known.sides) };
}

function More({ chat, attempt }) {
  const [hasMore, setMore] = useState(true);
  const [isLoading, setLoading] = useState(false);
  const load = () => {
    setLoading(true);
    attempt(chat.more().then(setMore).finally(() => setLoading(false)));
  };
  return hasMore ? html`<button type="button" class="small" disabled=${isLoading || !chat} onClick=${load}>${t("chat.older")}</button>` : html`<p class="faint">${t("chat.beginning")}</p>`;
}

function Said({ message, isOwn, mayRemove, isSeen, onEdit, onRemove }) {
  const { text, authorName, sentAt, editedAt, status, sent, attachments } = message;
  const isDeleted = text === null;
  return html`
    <div class=${`said${isOwn ? " said-own" : ""} said-${status}`}>
      ${!isOwn && authorName && html`<p class="said-name">${authorName}</p>`}
      <p class="said-text">${isDeleted ? html`<i>${t("chat.deleted")}</i>` : text}</p>
      ${(attachments ?? []).map((url) => html`<p class="said-text"><code>${url}</code></p>`)}
      <p class="said-foot">
        ${sentAt && html`<time datetime=${sentAt} title=${dateAndTime(Date.parse(sentAt))}>${timeOfDay(Date.parse(sentAt))}</time>`}
        ${editedAt && !isDeleted && html`<span>${t("chat.edited")}</span>`} ${isSeen && html`<span>✓ ${t("chat.seen")}</span>`}
        ${status === "pending" && html`<span>${t("chat.pending")}</span>`}
        ${status === "failed" && html`<button type="button" class="plain" onClick=${() => sent.retry()}>${t("chat.retry")}</button><button type="button" class="plain" onClick=${() => sent.drop()}>${t("chat.drop")}</button>`}
        ${status === "sent" && !isDeleted && isOwn && html`<button type="button" class="plain said-act" onClick=${onEdit}>${t("chat.edit")}</button>`}
        ${status === "sent" && !isDeleted && mayRemove && html`<button type="button" class="plain said-act" onClick=${onRemove}>${t("chat.remove")}</button>`}
      </p>
    </div>
  `;
}

function Writing({ chat, editing, onDone, attempt, onSend }) {
  const [text, setText] = useState(editing?.text ?? "");
  const field = useRef(null);
  useEffect(() => {
    if (editing) field.current.focus();
  }, []);
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim() || !chat) return;
    onSend();
    attempt(editing ? chat.edit(editing.messageId, text.trim()) : chat.send(text.trim()).done);
    setText("");
    onDone();
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key === "Escape" && editing) onDone();
  };
  const onInput = (event) => {
    setText(event.target.value);
    if (!editing) chat?.type?.();
  };
  return html`
    <form class="talk-form" onSubmit=${submit}>
      <textarea ref=${field} rows="1" maxlength="4000" aria-label=${t(editing ? "chat.edit" : "chat.write")} placeholder=${t("chat.write")} value=${text} onInput=${onInput} onKeyDown=${onKeyDown}></textarea>
      <button class="main"><${Icon} name="send" /><span class="unseen">${t("chat.send")}</span></button>
    </form>
  `;
}
