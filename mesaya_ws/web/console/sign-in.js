/**
 * Who one is: a dialog. Tokens stay in this tab, and go to the gateway alone.
 *
 * @module
 */

import { become, identity, keepPublishToken, publishToken, service } from "./gateway.js";
import { html, useEffect, useRef, useState, useStore } from "./html.js";
import { Icon } from "./icons.js";
import { t, tWord } from "./language.js";

const ROLES = ["ADMIN", "OWNER", "USER"];
const USER = "[A-Za-z0-9._~\\-]{1,128}";

export function SignIn({ onClose }) {
  const dialog = useRef(null);
  const own = identity.get();
  const said = useStore(service);
  const [kind, setKind] = useState(own.kind);
  const [token, setToken] = useState(own.token ?? "");
  const [user, setUser] = useState(own.user ?? "");
  const [roles, setRoles] = useState(own.roles ?? ["ADMIN"]);
  const [publish, setPublish] = useState(publishToken.get());
  useEffect(() => dialog.current.showModal(), []);

  const kinds = ["nobody", said?.auth === "off" ? "named" : "token"];
  if (!kinds.includes(kind)) kinds.push(kind);

  const submit = (event) => {
    event.preventDefault();
    keepPublishToken(publish.trim());
    const next =
      kind === "token" ? { kind, token: token.trim() } : kind === "named" ? { kind, user: user.trim(), roles } : { kind };
    if (JSON.stringify(next) !== JSON.stringify(own)) become(next);
    dialog.current.close();
  };
  const toggle = (role) => setRoles(roles.includes(role) ? roles.filter((one) => one !== role) : [...roles, role]);

  return html`
    <dialog ref=${dialog} class="dialog" aria-labelledby="sign-in-title" onClose=${onClose}>
      <form onSubmit=${submit}>
        <header>
          <h2 id="sign-in-title">${t("who.title")}</h2>
          <button type="button" class="plain" onClick=${() => dialog.current.close()}><${Icon} name="close" /><span class="unseen">${t("who.cancel")}</span></button>
        </header>
        <fieldset>
          <legend>${t(said?.auth === "off" ? "who.about-off" : "who.about-on")}</legend>
          ${kinds.map(
            (name) => html`
              <label class="choice">
                <input type="radio" name="kind" value=${name} checked=${name === kind} onChange=${() => setKind(name)} />
                <span>${t(`who.${name}`)}</span>
              </label>
            `,
          )}
        </fieldset>
        ${kind === "token" &&
        html`
          <label class="field">
            <span>${t("who.token")}</span>
            <textarea rows="4" required spellcheck=${false} autocomplete="off" value=${token} onInput=${(event) => setToken(event.target.value)}></textarea>
          </label>
        `}
        ${kind === "named" &&
        html`
          <label class="field">
            <span>${t("who.user")}</span>
            <input required pattern=${USER} title=${t("who.user-form")} autocomplete="off" spellcheck=${false} value=${user} onInput=${(event) => setUser(event.target.value)} />
          </label>
          <fieldset class="row">
            <legend>${t("who.roles")}</legend>
            ${ROLES.map(
              (role) => html`
                <label class="choice">
                  <input type="checkbox" checked=${roles.includes(role)} onChange=${() => toggle(role)} />
                  <span>${tWord(`role.${role}`, role)}</span>
                </label>
              `,
            )}
          </fieldset>
        `}
        <label class="field">
          <span>${t("who.publish-token")}</span>
          <input type="password" autocomplete="off" value=${publish} onInput=${(event) => setPublish(event.target.value)} />
          <small>${t("who.publish-token-about")}</small>
        </label>
        <footer>
          <button type="button" onClick=${() => dialog.current.close()}>${t("who.cancel")}</button>
          <button class="main">${t("who.apply")}</button>
        </footer>
      </form>
    </dialog>
  `;
}
