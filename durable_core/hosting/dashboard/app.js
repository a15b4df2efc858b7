// The frame of the dashboard: navigation, key, settings, keyboard; and which page stands at which address.
import { html, render, useEffect, useState } from "./preact-htm.js";
import { keyProblem, token } from "./api.js";
import { DialogPlace, Empty, Shape, Toast, closeDialog, openDialog } from "./parts.js";
import { CostPage } from "./cost.js";
import { EntitiesPage } from "./entities.js";
import { FailuresPage, StuckPage } from "./groups.js";
import { InstancePage } from "./instance.js";
import { LimitsPage } from "./limits.js";
import { ListPage } from "./list.js";
import { HostsPage, OverviewPage } from "./overview.js";
import { SchedulesPage } from "./schedules.js";
import { TimersPage } from "./timers.js";
import { address, href, key, live, theme, useStore, zone } from "./state.js";

const PAGES = [
  { name: "overview", title: "Overview", page: OverviewPage },
  { name: "instances", title: "Instances", page: ListPage },
  { name: "failures", title: "Failures", page: FailuresPage },
  { name: "stuck", title: "Stuck", page: StuckPage },
  { name: "schedules", title: "Schedules", page: SchedulesPage },
  { name: "entities", title: "Entities", page: EntitiesPage },
  { name: "limits", title: "Limits", page: LimitsPage },
  { name: "timers", title: "Timers", page: TimersPage },
  { name: "cost", title: "Cost", page: CostPage },
  { name: "hosts", title: "Hosts", page: HostsPage },
];

function App() {
  const { parts, query } = useStore(address);
  const problem = useStore(keyProblem);
  const [first = PAGES[0].name, id] = parts;
  const isInstance = token !== null || (first === "instances" && id !== undefined);
  const known = PAGES.find(({ name }) => name === first);
  const title = token ? "Instance" : isInstance ? id : known?.title ?? "Not found";
  useEffect(() => { document.title = `${title} · durable_core`; }, [title]);
  useEffect(() => document.querySelector("nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [first]);
  useKeyboard();
  return html`
    <header class="top">
      <a class="brand" href=${token ? null : href([])}>durable<span>_core</span></a>
      ${token ? html`<span class="dim">one instance, read-only</span>` : html`<nav aria-label="Pages">
        ${PAGES.map(({ name, title: text }) => html`<a href=${href([name])} key=${name}
          aria-current=${name === first ? "page" : null}>${text}</a>`)}</nav>`}
      <${Settings}/>
    </header>
    <main>
      ${problem ? html`<${KeyForm} problem=${problem}/>`
        : isInstance ? html`<${InstancePage} id=${token ? null : id} key=${id} query=${query}/>`
        : known ? html`<${known.page} query=${query}/>`
        : html`<${Empty} title="There is no such page">
            <p><a href=${href(["instances"])}>See all instances</a></p><//>`}
    </main>
    <${DialogPlace}/><${Toast}/>`;
}

// ---------------------------------------------------------------- key

function KeyForm({ problem }) {
  const [text, setText] = useState("");
  const send = (event) => {
    event.preventDefault();
    key.set(text.trim() || null);
    keyProblem.set(null);
  };
  return html`<form class="key" onSubmit=${send}>
    <h1>This app asks for a key</h1>
    ${problem === "refused" && html`<p class="warn" role="alert"><${Shape} kind="Stuck"/> The app refused this key.</p>`}
    <label for="key">Function key</label>
    <input id="key" type="password" autocomplete="off" value=${text} autofocus
      onInput=${(event) => setText(event.target.value)}/>
    <p class="dim">It stays in this tab until the tab is closed, and is sent in the header
      ${" "}<code>x-functions-key</code>, never in an address. In Azure: <em>Function App → App keys</em>; for the local
      host it is the one given to <code>--require-keys</code>.</p>
    <button type="submit" class="primary" disabled=${!text.trim()}>Open</button></form>`;
}

// ---------------------------------------------------------------- settings

const NEXT_THEME = { system: "light", light: "dark", dark: "system" };

function Settings() {
  const chosen = useStore(theme), isUtc = useStore(zone) === "utc", isLive = useStore(live) === "on";
  const hasKey = useStore(key) !== "";
  return html`<div class="settings">
    <button type="button" class="live ${isLive ? "on" : ""}" aria-pressed=${isLive}
      title=${isLive ? "The page follows what happens. Click to hold it still." : "The page stands still. Click to follow."}
      onClick=${() => live.set(isLive ? "off" : "on")}><i></i><span>${isLive ? "Live" : "Paused"}</span></button>
    <button type="button" title="Times of this machine, or UTC" onClick=${() => zone.set(isUtc ? "local" : "utc")}>
      ${isUtc ? "UTC" : "Local"}</button>
    <button type="button" title="Theme: ${chosen}. Click for ${NEXT_THEME[chosen]}." aria-label="Theme: ${chosen}"
      onClick=${() => theme.set(NEXT_THEME[chosen])}>${{ system: "Auto", light: "Light", dark: "Dark" }[chosen]}</button>
    ${hasKey && !token && html`<button type="button" title="Forget the key of this tab" onClick=${() => {
      key.set(null);
      keyProblem.set("needed");
    }}>Lock</button>`}
    <button type="button" title="Keyboard (?)" aria-label="Keyboard" onClick=${showKeys}>?</button></div>`;
}

// ---------------------------------------------------------------- keyboard

const KEYS = [
  ["/", "go to the filter"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["Esc", "leave the filter, undo the zoom, close a dialog"],
  ["g then o, i, f, t, s", "overview, instances, failures, stuck, schedules"],
  ["g then e, l, m, c, h", "entities, limits, timers, cost, hosts"],
  ["l", "live, or held still"],
  ["?", "this list"],
];
const PLACES = { o: "overview", h: "hosts", i: "instances", f: "failures", t: "stuck", s: "schedules", m: "timers", c: "cost", e: "entities", l: "limits" };

function showKeys() {
  openDialog(() => html`<h2 id="dialog-title">Keyboard</h2>
    <dl class="keys">${KEYS.map(([keys, what]) => html`<dt key=${keys}><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
    <div class="buttons"><button type="button" onClick=${closeDialog}>Close</button></div>`);
}

function useKeyboard() {
  useEffect(() => {
    let isPlace = false;
    const pressed = (event) => {
      const target = event.target;
      const isTyping = target.matches?.("input, textarea, select, [contenteditable]") && target.type !== "checkbox";
      if (isTyping && event.key === "Escape") target.blur();
      // The store hears of a dialog that Escape closed only after the next key: the element knows at once.
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping || document.querySelector("dialog[open]")) return;
      const wasPlace = isPlace;
      isPlace = event.key === "g";
      if (wasPlace && PLACES[event.key] && !token) location.hash = href([PLACES[event.key]]);
      else if (event.key === "/") focusFilter();
      else if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
      else if (event.key === "Enter" && !target.matches?.("a, button, summary, pre")) openRow();
      else if (event.key === "?") showKeys();
      else if (event.key === "l") live.set(live.get() === "on" ? "off" : "on");
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

function focusFilter() {
  const field = document.querySelector("[data-filter]");
  field?.focus();
  field?.select?.();
}

// The rows of a page are marked data-row; the chosen one is the one that holds the focus.
function moveRow(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at === -1 ? (step > 0 ? 0 : rows.length - 1) : at + step))];
  const target = next.matches("a, button, [tabindex]") ? next : next.querySelector("a, button, [tabindex]");
  target?.focus();
  next.scrollIntoView({ block: "nearest" });
}

function openRow() {
  const row = document.activeElement?.closest("[data-row]");
  row?.querySelector("a")?.click();
}

render(html`<${App}/>`, document.getElementById("app"));
