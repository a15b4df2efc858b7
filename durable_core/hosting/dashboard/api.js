// Requests to the management API, and hooks that keep a component's data fresh.
//
// The page is opened below '<base>/ui/', or at a capability URL '<base>/c/<token>': then it shows one instance, and asks
// for nothing but that instance's documents, without a key.
import { useCallback, useEffect, useRef, useState } from "./preact-htm.js";
import { hearServerTime, key, live, store, useStore } from "./state.js";

const base = new URL("..", import.meta.url).pathname;
const opened = /\/c\/([A-Za-z0-9_-]+)\/?$/.exec(location.pathname);
export const token = opened ? opened[1] : null;

export const keyProblem = store(null); // null: no key is asked for; else why one is

export class ApiError extends Error {
  constructor(status, code, message, problems = []) {
    super(message);
    Object.assign(this, { status, code, problems });
  }

  // The route does not exist in this app, or in this version of it.
  get isMissing() {
    return this.status === 501 || this.status === 405 || (this.status === 404 && !this.code);
  }
}

const OWN_WORDS = {
  0: "The app does not answer. It may be stopped or restarting, or the network is down.",
  401: "The app refused the request: it needs a function key that is valid for it.",
  403: "The app refused the request: this key or page may not do that.",
  404: "The app does not have this route.",
  405: "The app does not take this request here.",
  413: "The request is too large for the app.",
  429: "The app takes no more requests at the moment.",
  500: "The app failed to answer; its log says why.",
  502: "A gateway in front of the app got no answer from it.",
  503: "The app cannot answer at the moment.",
  504: "The app did not answer in time.",
};

// How long an answer to a GET may take, in ms: a host that stands still keeps its connections open. No GET of this page
// waits for anything longer than 20 s.
const PATIENCE = 25_000;

// Send a request. path: below the base, encoded. Resolves to {data, headers}; rejects with an ApiError, or with an
// AbortError when the signal was triggered. isText: the data is the text of a good answer, not its JSON.
export async function call(method, path, { query, body, headers, signal, isText } = {}) {
  const wanted = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    for (const each of [value].flat())
      if (each !== undefined && each !== null && each !== "") wanted.append(name, each);
  const text = wanted.toString();
  const sent = new Headers(headers);
  if (key.get() && !token) sent.set("x-functions-key", key.get());
  if (body !== undefined) sent.set("Content-Type", "application/json");
  let response, content;
  try {
    response = await fetch(base + path + (text ? "?" + text : ""), {
      method, signal: method === "GET" ? AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)].filter(Boolean)) : signal,
      headers: sent, body, cache: "no-store", credentials: "same-origin", redirect: "error",
    });
    content = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "", OWN_WORDS[0]);
  }
  hearServerTime(response.headers.get("Date"));
  if (response.ok && isText) return { data: content, headers: response.headers };
  const data = parsed(content);
  if (response.ok) return { data, headers: response.headers };
  const told = data?.error;
  const error = new ApiError(response.status, told?.code ?? "", told?.message ??
    OWN_WORDS[response.status] ?? `The app answered ${response.status}.`, told?.problems ?? []);
  if (response.status === 401 && method === "GET" && !token)
    keyProblem.set(key.get() ? "refused" : "needed");
  throw error;
}

function parsed(content) {
  try {
    return content ? JSON.parse(content) : null;
  } catch {
    return null; // a gateway's own page
  }
}

export const get = (path, options) => call("GET", path, options);

// The path of a document of one instance: '' is its status.
export function ofInstance(id, part = "") {
  if (token) return `c/${token}/${part || "status"}`;
  return `instances/${encodeURIComponent(id)}${part ? "/" + part : ""}`;
}

// ---------------------------------------------------------------- staying fresh

const SLOWEST = 30_000;

// Loads data, and loads it again every `every` ms while the tab can be seen and the page is live.
//
// load(signal, previous): returns the data. deps: load anew, from nothing, when they change. every: ms, 0 for once, or a
// function of the data. Returns {data, error, reload}; an error keeps the data that was there.
export function useFresh(load, deps, every) {
  const [state, setState] = useState({ data: undefined, error: null, of: null });
  const isLive = useStore(live) === "on";
  const asked = useStore(keyProblem) === null; // no request is sent while a key is asked for
  const latest = useRef(null);
  latest.current = { load, every, isLive };
  const identity = JSON.stringify(deps);
  const again = useRef(() => {});
  const settle = useRef(() => {});

  useEffect(() => {
    if (!asked) return undefined;
    let timer = 0, running = null, failures = 0, data, isOver = false;
    const wait = () => {
      const { every: period, isLive: isWanted } = latest.current;
      const ms = failures ? Math.min(SLOWEST, 2000 * 2 ** (failures - 1))
        : typeof period === "function" ? period(data) : period;
      if (!isOver && ms && (isWanted || failures) && !document.hidden) timer = setTimeout(round, ms);
    };
    const round = async () => {
      clearTimeout(timer);
      running?.abort();
      const mine = (running = new AbortController());
      try {
        data = await latest.current.load(mine.signal, data);
        failures = 0;
        if (!mine.signal.aborted) setState({ data, error: null, of: identity });
      } catch (error) {
        if (mine.signal.aborted || error.name === "AbortError") return;
        if (!(error instanceof ApiError)) console.error(error);
        failures += 1;
        setState({ data, error, of: identity });
        if (error.status >= 400 && error.status < 500 && error.status !== 429) {
          running = null;
          return; // the same request would be refused again
        }
      }
      if (running === mine) {
        running = null;
        wait();
      }
    };
    const seen = () => {
      clearTimeout(timer);
      if (!isOver && !document.hidden && !running && (latest.current.isLive || failures || data === undefined) &&
          (typeof latest.current.every === "function" ? latest.current.every(data) : latest.current.every)) round();
    };
    again.current = round;
    settle.current = seen;
    document.addEventListener("visibilitychange", seen);
    round();
    return () => {
      isOver = true;
      clearTimeout(timer);
      running?.abort();
      document.removeEventListener("visibilitychange", seen);
    };
  }, [identity, asked]);
  useEffect(() => settle.current(), [isLive]); // what is held still asks no more, what is live again asks at once

  const reload = useCallback(() => again.current(), []);
  const isOld = state.of !== identity;
  return { data: isOld ? undefined : state.data, error: isOld ? null : state.error, reload };
}
