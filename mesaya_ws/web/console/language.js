/**
 * The language of the console: Spanish or English, as the browser prefers until somebody chooses.
 *
 * @module
 */

import { Value } from "./html.js";
import { remembered } from "./memory.js";
import { english } from "./texts/en.js";
import { spanish } from "./texts/es.js";

export const LANGUAGES = { es: "Español", en: "English" };

const TEXTS = { es: spanish, en: english };

export const language = new Value(known(remembered.get("language")) ?? preferred());

/** Return a language, if it is one of the console: what a browser remembers or prefers may be anything. */
function known(name) {
  return Object.hasOwn(LANGUAGES, name) ? name : undefined;
}

function preferred() {
  const all = navigator.languages ?? [navigator.language];
  return all.map((one) => known(one.slice(0, 2))).find(Boolean) ?? "en";
}

export function chooseLanguage(name) {
  remembered.set("language", name);
  language.set(name);
  document.documentElement.lang = name;
}

/** Return a text in the present language; `{name}` in it stands for a value. */
export function t(key, values = {}) {
  const text = TEXTS[language.get()][key];
  if (text === undefined) throw new Error(`There is no text ${key}.`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Return a text, or `otherwise` if there is none: for words of the platform, of which there may be new ones. */
export function tWord(key, otherwise) {
  return TEXTS[language.get()][key] ?? otherwise;
}

const tag = () => (language.get() === "es" ? "es-EC" : "en-GB");

export function number(value, digits = 0) {
  return new Intl.NumberFormat(tag(), { maximumFractionDigits: digits, minimumFractionDigits: 0 }).format(value);
}

export function timeOfDay(ms) {
  return new Intl.DateTimeFormat(tag(), { timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

export function dateAndTime(ms) {
  return new Intl.DateTimeFormat(tag(), { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

/** Return for how long something has been, in few letters. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${number(value, value < 10 && unit ? 1 : 0)} ${units[unit]}`;
}
