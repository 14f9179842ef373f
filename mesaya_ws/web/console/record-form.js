/**
 * A form for a record of the platform: its topic, its key, and its value as JSON, with examples to begin with.
 *
 * @module
 */

import { client } from "./gateway.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { t } from "./language.js";
import { EXAMPLES, TOPICS } from "./record.js";

const pretty = (value) => JSON.stringify(value, null, 2);

/** Return what is written in the form, and how to write in it: [{topic, key, text}, change]. */
export function useRecordForm(first = "table") {
  const [written, setWritten] = useState(() => formOf(EXAMPLES[first]({})));
  return [written, (change) => setWritten((before) => ({ ...before, ...change }))];
}

const formOf = ({ topic, value }) => ({ topic, key: "", text: pretty(value) });

export function RecordForm({ written, onChange, restaurants, children }) {
  const at = useSubject(restaurants?.[0]?.restaurantId);
  const isTouched = useRef(false);
  useEffect(() => {
    // What the form began with spoke of a table that there may not be.
    if (at.table && !isTouched.current) onChange(formOf(EXAMPLES.table(at)));
  }, [at.table]);
  const change = (next) => {
    isTouched.current = true;
    onChange(next);
  };
  return html`
    <section class="card form" aria-label=${t("record.form")}>
      <div class="buttons" role="group" aria-label=${t("record.examples")}>
        <span class="faint">${t("record.examples")}</span>
        ${Object.keys(EXAMPLES).map((name) => html`<button type="button" class="small" onClick=${() => change(formOf(EXAMPLES[name](at)))}>${t(`record.example.${name}`)}</button>`)}
      </div>
      <div class="form-row">
        <label class="field grow">
          <span>${t("record.topic")}</span>
          <input list="topics" spellcheck=${false} autocomplete="off" value=${written.topic} onInput=${(event) => change({ topic: event.target.value })} />
        </label>
        <datalist id="topics">${TOPICS.map((topic) => html`<option value=${topic} />`)}</datalist>
        <label class="field">
          <span>${t("record.key")}</span>
          <input size="14" spellcheck=${false} autocomplete="off" value=${written.key} onInput=${(event) => change({ key: event.target.value })} />
        </label>
      </div>
      <label class="field">
        <span>${t("record.value")}</span>
        <textarea class="code" rows="18" spellcheck=${false} autocomplete="off" value=${written.text} onInput=${(event) => change({ text: event.target.value })}></textarea>
      </label>
      ${children}
    </section>
  `;
}

/** Return what examples speak of: a restaurant that there is, and one of its tables. */
function useSubject(restaurant) {
  const [subject, setSubject] = useState({});
  useEffect(() => {
    if (!restaurant) return undefined;
    const subscription = client.get().subscribe(`restaurant:${restaurant}:tables`, { snapshot: true });
    subscription.on("snapshot", (data) => {
      setSubject({ restaurant, table: data.tables?.[0] });
      subscription.close();
    });
    return () => subscription.close();
  }, [restaurant]);
  return subject;
}
