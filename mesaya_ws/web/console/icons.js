/**
 * The signs of the console, drawn as lines of the text's colour. They say nothing that words beside them do not.
 *
 * @module
 */

import { html } from "./html.js";

const PATHS = {
  floor: "M4 4h16v16H4zM4 13h7M11 13v7M15 8.5h.01",
  watch: "M4 6h10M4 11h16M4 16h7M15 16h5",
  chat: "M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-8l-5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1z",
  publish: "M4 10v4l3 .5V9.5zM7 9.5 18 5v14L7 14.5M9 15l1 5h3l-1-4M21 10.5v3",
  connections: "M12 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM6 21a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM18 21a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM10.6 8.6 7.4 15.4M13.4 8.6l3.2 6.8",
  health: "M3 12h4l2.5-6 5 12L17 12h4",
  explain: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 21 21M8.7 8.8a1.9 1.9 0 1 1 2.6 1.8c-.5.2-.8.6-.8 1.1M10.5 14h.01",
  user: "M12 11.5a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6zM4.5 20.5a7.5 7.5 0 0 1 15 0",
  close: "M6 6l12 12M18 6 6 18",
  pause: "M9 5v14M15 5v14",
  play: "M8 5l11 7-11 7z",
  clear: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13",
  plus: "M12 5v14M5 12h14",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  back: "M9 6 4 11l5 5M4 11h10a6 6 0 0 1 6 6v1",
  sun: "M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  auto: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  send: "M4 12 20 4l-5 16-3.5-6.5z",
  eye: "M2.5 12s3.5-6.5 9.5-6.5 9.5 6.5 9.5 6.5-3.5 6.5-9.5 6.5S2.5 12 2.5 12zM12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z",
  clock: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7v5l3.5 2",
};

export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
