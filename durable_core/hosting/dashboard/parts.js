// Small components that every page uses.
import { html, useCallback, useEffect, useRef, useState } from "./preact-htm.js";
import { absolute, brief, bytes, count, relative, visible } from "./format.js";
import { href, now, seconds, store, useStore, zone } from "./state.js";

// ---------------------------------------------------------------- status

// The shape tells as much as the colour: a cross, a tick, a half disc, two bars …
const SHAPES = {
  Pending: "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13z",
  Running: "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13z",
  Suspended: "M4.5 3h2.5v10h-2.5zM9 3h2.5v10h-2.5z",
  Completed: "M2.5 8.5l3.5 3.5l7.5-8",
  Failed: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  Terminated: "M3.5 3.5h9v9h-9z",
  Canceled: "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13zM3.6 12.4l8.8-8.8",
  ContinuedAsNew: "M13 8a5 5 0 1 1-1.6-3.7M11.8 1.5v3h-3",
  Stuck: "M8 1.8l6.6 12h-13.2zM8 6v4M8 11.6v.6",
  Retrying: "M13 8a5 5 0 1 1-1.6-3.7M11.8 1.5v3h-3",
  Jobs: "M9.5 1.5l-6 8h4l-1 5l6-8h-4z",
  Scheduled: "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13z",
  Waiting: "M4 2h8M4 14h8M5 2c0 4 6 8 6 12M11 2c0 4-6 8-6 12",
  Paused: "M4.5 3h2.5v10h-2.5zM9 3h2.5v10h-2.5z",
};
const WORDS = { Canceled: "Cancelled", ContinuedAsNew: "Continued as new" };

export function Shape({ kind }) {
  return html`<svg class="shape ${kind}" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
    <path d=${SHAPES[kind] ?? SHAPES.Pending}></path>
    ${kind === "Running" && html`<path class="half" d="M8 4.2v7.6a3.8 3.8 0 0 0 0-7.6z"></path>`}</svg>`;
}

export function Status({ status, stuck, quiet }) {
  const kind = stuck ? "Stuck" : status ?? "Pending";
  const word = stuck ? `Stuck (${WORDS[status] ?? status})` : WORDS[kind] ?? kind;
  return html`<span class="status ${kind} ${quiet ? "quiet" : ""}" title=${stuck ? visible(stuck) : null}>
    <${Shape} kind=${kind}/><span class="word">${word}</span></span>`;
}

// ---------------------------------------------------------------- times, ids, values

// A moment, as its age; the exact time is its title.
export function Time({ at, exact }) {
  useStore(seconds);
  const shown = useStore(zone);
  if (at === undefined || at === null) return null;
  const time = typeof at === "number" ? at : Date.parse(at);
  const full = absolute(time, shown);
  return html`<time datetime=${new Date(time).toISOString()} title=${full}>${exact ? full : relative(time, now())}</time>`;
}

export const toast = store(null);
let toastTimer = 0;
export function say(text, kind = "") {
  clearTimeout(toastTimer);
  toast.set({ text, kind });
  toastTimer = setTimeout(() => toast.set(null), 5000);
}

export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    say(what);
  } catch {
    say("This browser does not let the page copy: select the text and copy it.");
  }
}

// An id: monospaced, copied by a click.
export function Id({ id, what = "id" }) {
  return html`<button type="button" class="id" title="Copy the ${what}" aria-label="Copy ${what} ${visible(id)}"
    onClick=${() => copy(id, `Copied the ${what}`)}><bdi>${visible(id)}</bdi></button>`;
}

export function InstanceLink({ id, cls = "" }) {
  return html`<a class="instance ${cls}" href=${href(["instances", id])}><bdi>${visible(id)}</bdi></a>`;
}

const SHOWN = 20_000; // characters of a value: a browser lays out a text of megabytes for seconds
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g;

// A JSON value, indented. A long one is cut; it can be copied and saved whole.
export function Value({ value, name }) {
  const [shown, setShown] = useState(SHOWN);
  const text = useRef({ of: undefined, text: "" });
  if (text.current.of !== value || !text.current.text)
    text.current = { of: value, text: JSON.stringify(value, null, 2) ?? "null" };
  const whole = text.current.text;
  const cut = whole.length > shown;
  const save = () => {
    const url = URL.createObjectURL(new Blob([whole], { type: "application/json" }));
    const link = Object.assign(document.createElement("a"), { href: url, download: `${name}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  return html`<div class="value">
    <pre tabindex="0" aria-label=${name}>${tokens(cut ? whole.slice(0, shown) : whole)}${cut ? " …" : ""}</pre>
    <div class="under">
      ${cut && html`<span class="dim">${bytes(shown)} of ${bytes(whole.length)} shown</span>
        ${shown < 500_000 && html`<button type="button" class="link" onClick=${() => setShown(shown * 5)}>Show more</button>`}`}
      <button type="button" class="link" onClick=${() => copy(whole, `Copied the ${name}`)}>Copy</button>
      ${whole.length > 2000 && html`<button type="button" class="link" onClick=${save}>Save</button>`}
    </div></div>`;
}

function tokens(text) {
  if (text.length > SHOWN) return visible(text);
  const out = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    out.push(visible(text.slice(end, found.index)));
    const kind = found[1] ? (found[2] ? "key" : "string") : found[3] ? "word" : "number";
    out.push(html`<span class="t-${kind}">${visible(found[1] ?? found[0])}</span>`, found[2] ?? "");
    end = found.index + found[0].length;
  }
  out.push(visible(text.slice(end)));
  return out;
}

export function Brief({ value, length }) {
  return html`<span class="brief"><bdi>${brief(value, length)}</bdi></span>`;
}

// ---------------------------------------------------------------- what is not data

export function Skeleton({ rows = 6 }) {
  return html`<div class="skeleton" role="status" aria-label="Loading">
    ${Array.from({ length: rows }, (_, n) => html`<div class="bone b${n % 4}" key=${n}></div>`)}</div>`;
}

export function Trouble({ error, retry, stale }) {
  return html`<div class="trouble" role="alert">
    <${Shape} kind="Stuck"/>
    <div><strong>${stale ? "These data are no longer fresh." : "This could not be loaded."}</strong>
      ${" "}<bdi>${visible(error.message)}</bdi>
      ${error.problems?.length > 0 && html`<ul>${error.problems.map((each) => html`<li><bdi>${visible(each)}</bdi></li>`)}</ul>`}
      <div class="dim">${error.status ? `${error.status} ${error.code}` : "No answer"}</div></div>
    <button type="button" onClick=${retry}>Try again</button></div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

// Data, or what stands in their place: a skeleton, an error with a way to retry.
export function Loaded({ from, rows, children }) {
  const { data, error, reload } = from;
  if (data === undefined)
    return error ? html`<${Trouble} error=${error} retry=${reload}/>` : html`<${Skeleton} rows=${rows}/>`;
  return html`${error && html`<${Trouble} error=${error} retry=${reload} stale/>`}${children(data)}`;
}

// ---------------------------------------------------------------- dialogs

export const dialog = store(null); // a function that returns the content, given a function that closes it
export const openDialog = (content) => dialog.set({ content });
export const closeDialog = () => dialog.set(null);

export function DialogPlace() {
  const shown = useStore(dialog);
  const place = useRef(null);
  useEffect(() => {
    const element = place.current;
    if (shown && !element.open) element.showModal();
    if (!shown && element.open) element.close();
  }, [shown]);
  const onBackdrop = useCallback((event) => { if (event.target === place.current) closeDialog(); }, []);
  return html`<dialog ref=${place} onClose=${closeDialog} onClick=${onBackdrop} aria-labelledby="dialog-title">
    ${shown && html`<div class="inside">${shown.content()}</div>`}</dialog>`;
}

export function Toast() {
  const shown = useStore(toast);
  return html`<div class="toast-place" role="status" aria-live="polite">
    ${shown && html`<div class="toast ${shown.kind}">${shown.text}</div>`}</div>`;
}

export const Count = ({ n }) => html`<span class="count">${count(n)}</span>`;
