/**
 * The console: its frame, and which page is in it.
 *
 * @module
 */

import { findService, notices, dismiss, service, status, who } from "./gateway.js";
import { html, render, useEffect, useRef, useState, useStore } from "./html.js";
import { Icon } from "./icons.js";
import { language, LANGUAGES, chooseLanguage, t, tWord } from "./language.js";
import { ChatPage } from "./pages/chat.js";
import { ConnectionsPage } from "./pages/connections.js";
import { ExplainPage } from "./pages/explain.js";
import { FloorPage } from "./pages/floor.js";
import { HealthPage } from "./pages/health.js";
import { PublishPage } from "./pages/publish.js";
import { WatchPage } from "./pages/watch.js";
import { linkTo, place } from "./router.js";
import { SignIn } from "./sign-in.js";
import { chooseTheme, theme, THEMES } from "./theme.js";

const PAGES = {
  floor: FloorPage,
  watch: WatchPage,
  chat: ChatPage,
  publish: PublishPage,
  connections: ConnectionsPage,
  health: HealthPage,
  explain: ExplainPage,
};
const FIRST = "floor";

function Console() {
  useStore(language);
  const { page: asked, query } = useStore(place);
  const page = Object.hasOwn(PAGES, asked) ? asked : FIRST;
  const heading = useRef(null);
  const [before, setBefore] = useState(page);
  useEffect(() => {
    document.title = `${t(`${page}.title`)} · MesaYA`;
    if (page === before) return;
    setBefore(page);
    heading.current?.focus();
  });
  const Page = PAGES[page];
  return html`
    <a class="skip" href="#content" onClick=${(event) => (event.preventDefault(), heading.current?.focus())}>${t("shell.skip")}</a>
    <header class="frame-head">
      <a class="brand" href=${linkTo(FIRST)}>
        <img src="/console/icon.svg" alt="" width="30" height="30" />
        <span>MesaYA <small>${t("shell.console")}</small></span>
      </a>
      <${Navigation} page=${page} />
      <${Foot} />
    </header>
    <main id="content" class="page page-${page}">
      <div class="page-head">
        <h1 tabindex="-1" ref=${heading}>${t(`${page}.title`)}</h1>
        <p>${t(`${page}.about`)}</p>
      </div>
      <${Page} query=${query} key=${page} />
    </main>
    <${Notices} />
  `;
}

const Navigation = ({ page }) => html`
  <nav aria-label=${t("shell.pages")}>
    <ul>
      ${Object.keys(PAGES).map(
        (name) => html`
          <li>
            <a href=${linkTo(name)} aria-current=${name === page ? "page" : undefined} title=${t(`${name}.title`)}>
              <${Icon} name=${name} /><span>${t(`${name}.title`)}</span>
            </a>
          </li>
        `,
      )}
    </ul>
  </nav>
`;

function Foot() {
  const chosenTheme = useStore(theme);
  const chosenLanguage = useStore(language);
  const said = useStore(service);
  return html`
    <div class="foot">
      <${Connection} />
      <${Identity} />
      <div class="choices">
        <div class="segments" role="group" aria-label=${t("shell.theme")}>
          ${THEMES.map(
            ([name, icon]) => html`
              <button type="button" aria-pressed=${name === chosenTheme} title=${t(`theme.${name}`)} onClick=${() => chooseTheme(name)}>
                <${Icon} name=${icon} /><span class="unseen">${t(`theme.${name}`)}</span>
              </button>
            `,
          )}
        </div>
        <div class="segments" role="group" aria-label=${t("shell.language")}>
          ${Object.entries(LANGUAGES).map(
            ([name, words]) => html`
              <button type="button" lang=${name} aria-pressed=${name === chosenLanguage} title=${words} onClick=${() => chooseLanguage(name)}>
                ${name.toUpperCase()}
              </button>
            `,
          )}
        </div>
      </div>
      ${said && html`<p class="version">mesaya-ws ${said.version}</p>`}
    </div>
  `;
}

function Connection() {
  const { state, reason, lag } = useStore(status);
  const because = reason && state !== "live" ? (reason.message ?? reason.name) : state === "behind" && lag ? t("state.lag", { lag }) : "";
  return html`
    <p class="connection" role="status" title=${because || undefined}>
      <span class="lamp lamp-${state}" aria-hidden="true"></span>
      <span>${t(`state.${state}`)}${because && html`<small>${because}</small>`}</span>
    </p>
  `;
}

function Identity() {
  const [isOpen, setOpen] = useState(false);
  const { user, roles } = useStore(who);
  const said = useStore(service);
  const words = roles.map((role) => tWord(`role.${role}`, role)).join(", ");
  return html`
    <button type="button" class="identity" aria-haspopup="dialog" onClick=${() => setOpen(true)}>
      <${Icon} name="user" />
      <span>
        ${user ?? t("who.nobody")}
        <small>${words || (said?.auth === "off" ? t("who.believed") : t("who.sign-in"))}</small>
      </span>
    </button>
    ${isOpen && html`<${SignIn} onClose=${() => setOpen(false)} />`}
  `;
}

function Notices() {
  const all = useStore(notices);
  return html`
    <div class="notices" role="alert">
      ${all.map(
        ({ id, code, message }) => html`
          <p key=${id}>
            <span><code>${code}</code> ${message}</span>
            <button type="button" class="plain" onClick=${() => dismiss(id)}><${Icon} name="close" /><span class="unseen">${t("shell.dismiss")}</span></button>
          </p>
        `,
      )}
    </div>
  `;
}

document.documentElement.lang = language.get();
document.getElementById("console").replaceChildren();
findService();
render(html`<${Console} />`, document.getElementById("console"));
