// What the whole page shares: the address after '#', the settings of the viewer, a clock. Each is a store that
// components follow with useStore.
import { useEffect, useState } from "./preact-htm.js";

export function store(value) {
  const followers = new Set();
  return {
    get: () => value,
    set(next) {
      if (next === value) return;
      value = next;
      for (const follower of [...followers]) follower();
    },
    follow(follower) {
      followers.add(follower);
      return () => followers.delete(follower);
    },
  };
}

export function useStore(followed) {
  const [, redraw] = useState(0);
  useEffect(() => followed.follow(() => redraw((n) => n + 1)), [followed]);
  return followed.get();
}

// ---------------------------------------------------------------- settings

function kept(storage, name, fallback) {
  const read = () => {
    try {
      return storage().getItem(name) ?? fallback;
    } catch {
      return fallback; // a browser that stores nothing
    }
  };
  const one = store(read());
  return {
    ...one,
    set(next) {
      try {
        if (next === null) storage().removeItem(name);
        else storage().setItem(name, next);
      } catch {
        // It lasts as long as this page, then.
      }
      one.set(next ?? fallback);
    },
  };
}

const local = () => localStorage;
const session = () => sessionStorage;

export const theme = kept(local, "durable.theme", "system"); // system, light, dark
export const zone = kept(local, "durable.zone", "local"); // local, utc
export const live = kept(session, "durable.live", "on"); // on, off
export const key = kept(session, "durable.key", ""); // the function key: for this tab only

theme.follow(() => {
  const chosen = theme.get();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
});

// ---------------------------------------------------------------- the address

// The address of a page is its path and its filters after '#': they can be shared, and no server sees them.
function readAddress() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, with a lone '%'
  }
}

export const address = store(readAddress());
addEventListener("hashchange", () => address.set(readAddress()));

export function href(parts, query) {
  const shown = query ? new URLSearchParams(Object.entries(query).flatMap(
    ([name, value]) => [value].flat().filter(Boolean).map((each) => [name, each]))).toString() : "";
  return "#/" + parts.map(encodeURIComponent).join("/") + (shown ? "?" + shown : "");
}

export function go(parts, query, { replace = false } = {}) {
  const to = href(parts, query);
  if (replace) {
    history.replaceState(null, "", to);
    address.set(readAddress());
  } else location.hash = to;
}

// ---------------------------------------------------------------- the clock

// How far the server's clock is ahead of this machine's, in ms: ages are counted by the server's.
let ahead = 0;
export function hearServerTime(header) {
  const told = Date.parse(header ?? "");
  if (Number.isNaN(told)) return;
  const difference = told + 500 - Date.now(); // the header holds whole seconds
  ahead = Math.abs(difference) < 2000 ? 0 : difference;
}
export const now = () => Date.now() + ahead;

export const seconds = store(0);
setInterval(() => { if (!document.hidden) seconds.set(seconds.get() + 1); }, 1000);
