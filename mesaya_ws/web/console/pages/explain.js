/**
 * Explain: what a record would become, for whom, and why; or why it becomes nothing.
 *
 * @module
 */

import { useExplanation } from "../explaining.js";
import { Explanation } from "../explanation.js";
import { html, useState } from "../html.js";
import { t } from "../language.js";
import { Failure } from "../parts.js";
import { recordOf } from "../record.js";
import { RecordForm, useRecordForm } from "../record-form.js";
import { useRestaurants } from "../restaurants.js";

export function ExplainPage() {
  const restaurants = useRestaurants();
  const [written, change] = useRecordForm();
  const [user, setUser] = useState("");
  const record = recordOf(written);
  const { explanation, error } = useExplanation(record, user);
  return html`
    <div class="two">
      <${RecordForm} written=${written} onChange=${change} restaurants=${restaurants}>
        ${record.isText && html`<p class="hint">${t("record.no-json")}</p>`}
        <label class="field">
          <span>${t("explain.user")}</span>
          <input spellcheck=${false} autocomplete="off" placeholder=${t("explain.user-hint")} value=${user} onInput=${(event) => setUser(event.target.value)} />
        </label>
      <//>
      <div>
        <${Failure} error=${error} />
        ${explanation && html`<${Explanation} explanation=${explanation} />`}
      </div>
    </div>
  `;
}
