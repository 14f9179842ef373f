/**
 * The tables that one holds by this page, for as long as one does.
 *
 * @module
 */

import { client, who } from "./gateway.js";
import { html, useClock, useState, useStore, Value } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { clock } from "./plan.js";

/** By the ids of their tables. */
const ownHolds = new Value(new Map());

function without(hold) {
  ownHolds.set((before) => new Map([...before].filter(([, one]) => one !== hold)));
}

async function take(restaurant, tableId) {
  const hold = await client.get().hold(restaurant, [tableId]);
  ownHolds.set((before) => new Map([...before, ...hold.tables.map((id) => [id, hold])]));
  hold.ended.then(() => without(hold), () => without(hold));
}

/** What one can do about a table: hold it while it is free, and give it up. */
export function HoldControls({ restaurant, table, state }) {
  useClock();
  const { user } = useStore(who);
  const own = useStore(ownHolds).get(table.tableId);
  const [failure, setFailure] = useState(undefined);
  const [isUnderWay, setUnderWay] = useState(false);
  const attempt = async (doing) => {
    setUnderWay(true);
    setFailure(undefined);
    await doing.catch(setFailure);
    setUnderWay(false);
  };
  if (!own && state !== "available") return null;
  return html`
    <div class="buttons">
      ${own && html`<p class="state state-held">${t("floor.hold-yours", { left: clock(own.remaining()) })}</p>`}
      ${own
        ? html`<button type="button" disabled=${isUnderWay} onClick=${() => attempt(own.release())}><${Icon} name="close" />${t("floor.release")}</button>`
        : html`<button type="button" class="main" disabled=${!user || isUnderWay} onClick=${() => attempt(take(restaurant, table.tableId))}><${Icon} name="clock" />${t("floor.hold")}</button>`}
    </div>
    ${!user && html`<p class="hint">${t("floor.hold-user")}</p>`}
    ${failure && html`<p class="failure" role="alert"><code>${failure.code}</code> ${failure.message}</p>`}
  `;
}
