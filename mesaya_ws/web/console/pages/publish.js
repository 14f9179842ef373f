/**
 * Publish: an announcement to everybody, or a record of the platform, each with what it will become.
 *
 * @module
 */

import { ask, publishToken } from "../gateway.js";
import { useExplanation } from "../explaining.js";
import { Explanation } from "../explanation.js";
import { html, useMemo, useState, useStore } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../language.js";
import { Failure } from "../parts.js";
import { recordOf, topicOf } from "../record.js";
import { RecordForm, useRecordForm } from "../record-form.js";
import { useRestaurants } from "../restaurants.js";

const TABS = ["announcement", "record"];

export function PublishPage() {
  const [tab, setTab] = useState(TABS[0]);
  return html`
    <div class="segments tabs" role="group" aria-label=${t("publish.what")}>
      ${TABS.map((name) => html`<button type="button" aria-pressed=${name === tab} onClick=${() => setTab(name)}>${t(`publish.${name}`)}</button>`)}
    </div>
    ${tab === "announcement" ? html`<${Announcement} />` : html`<${AnyRecord} />`}
  `;
}

function Announcement() {
  const [title, setTitle] = useState("");
  const [body, setBody] = useState("");
  const data = { title: title.trim(), ...(body.trim() && { body: body.trim() }) };
  const timestamp = useMemo(() => new Date().toISOString(), []);
  const record = { topic: topicOf("announcements"), value: { timestamp, event_type: "created", entity_id: "new", data } };
  const publishing = usePublishing(() => ({ channel: "global:announcements", type: "announcement.created", data }));
  const submit = async (event) => {
    event.preventDefault();
    if (!(await publishing.publish())) return;
    setTitle("");
    setBody("");
  };
  return html`
    <div class="two">
      <form class="card form" onSubmit=${submit}>
        <label class="field">
          <span>${t("publish.title-of")}</span>
          <input required value=${title} placeholder=${t("publish.title-hint")} onInput=${(event) => setTitle(event.target.value)} />
        </label>
        <label class="field">
          <span>${t("publish.body")}</span>
          <textarea rows="5" value=${body} onInput=${(event) => setBody(event.target.value)}></textarea>
        </label>
        <${PublishButton} publishing=${publishing} isReady=${Boolean(data.title)} />
      </form>
      <${Preview} record=${record} again=${publishing.count} />
    </div>
  `;
}

function AnyRecord() {
  const restaurants = useRestaurants();
  const [written, change] = useRecordForm();
  const record = recordOf(written);
  const publishing = usePublishing(() => ({ topic: record.topic, value: record.value, ...(record.key && { key: record.key }) }));
  const submit = (event) => {
    event.preventDefault();
    publishing.publish();
  };
  const isObject = typeof record.value === "object" && record.value !== null && !Array.isArray(record.value);
  return html`
    <div class="two">
      <form onSubmit=${submit}>
        <${RecordForm} written=${written} onChange=${change} restaurants=${restaurants}>
          ${!isObject && html`<p class="hint">${t("publish.no-object")}</p>`}
          <${PublishButton} publishing=${publishing} isReady=${isObject} />
        <//>
      </form>
      <${Preview} record=${record} again=${publishing.count} />
    </div>
  `;
}

/** Return how to publish what `bodyOf` returns, and what has come of it: the record's place in the log, or an error. */
function usePublishing(bodyOf) {
  const [result, setResult] = useState({ count: 0 });
  const publish = async () => {
    setResult((before) => ({ count: before.count, isUnderWay: true }));
    try {
      const place = await ask("/publish", { body: bodyOf(), asOperator: true });
      setResult((before) => ({ count: before.count + 1, place }));
      return true;
    } catch (error) {
      setResult((before) => ({ count: before.count, error }));
      return false;
    }
  };
  return { ...result, publish };
}

function PublishButton({ publishing, isReady }) {
  const token = useStore(publishToken);
  const { place, error, isUnderWay } = publishing;
  return html`
    <div class="buttons">
      <button class="main" disabled=${!isReady || isUnderWay}><${Icon} name="send" />${t("publish.send")}</button>
    </div>
    <${Failure} error=${error} />
    ${place && html`<p class="done" role="status">${t("publish.done", place)}</p>`}
    ${!token && !error && html`<p class="hint">${t("publish.needs-token")}</p>`}
  `;
}

function Preview({ record, again }) {
  const { explanation, error } = useExplanation(record, "", again);
  return html`
    <section aria-label=${t("publish.preview")}>
      <h2 class="preview-title">${t("publish.preview")}</h2>
      <${Failure} error=${error} />
      ${explanation && html`<${Explanation} explanation=${explanation} />`}
    </section>
  `;
}
