// What activities of an instance write while they run: each stream as it grows.
import { html } from "./preact-htm.js";
import { get, ofInstance, token, useFresh } from "./api.js";
import { Loaded } from "./parts.js";
import { plural, visible } from "./format.js";

const PERIOD = 1000;
const SHOWN = 20_000; // characters of a stream, the last ones

export function Streams({ id, isOver }) {
  const found = useFresh((signal, before) => load(id, signal, before), ["streams", id, isOver], (data) =>
    data === undefined || data.some((stream) => !stream.ended) || !isOver ? PERIOD : 0);
  return html`<${Loaded} from=${found} rows=${3}>${(streams) => streams.length === 0
    ? html`<p class="dim">No activity has written a stream.</p>`
    : html`<div class="data">${streams.map((stream) => html`<${Stream} key=${stream.name} ...${stream}/>`)}</div>`}<//>`;
}

function Stream({ name, parts, restarts, ended }) {
  const text = parts.map((part) => part.text).join("");
  const state = ended ? (ended.isComplete ? "complete" : "ended before its end") : "being written";
  return html`<section><h3>${visible(name)}</h3>
    <p class="dim">${plural(parts.length, "chunk")}, ${state}${restarts > 0 && `, begun anew ${restarts === 1 ? "once" : `${restarts} times`}`}</p>
    <pre class="stream" tabindex="0" aria-label=${`Stream ${name}`}>${text.length > SHOWN && "… "}${visible(text.slice(-SHOWN))}</pre></section>`;
}

// Reads on behind the last event of each stream that has not ended.
async function load(id, signal, before = []) {
  const known = new Map(before.map((stream) => [stream.name, stream]));
  const { data: names } = await get(ofInstance(id, "streams"), { signal });
  return Promise.all(names.map((name) => readOn(id, known.get(name) ??
    { name, parts: [], restarts: 0, last: "", ended: null }, signal)));
}

async function readOn(id, stream, signal) {
  if (stream.ended) return stream;
  const query = { follow: false, from: stream.last, ...(token ? { name: stream.name } : {}) };
  const path = token ? ofInstance(id, "streams") : ofInstance(id, `streams/${encodeURIComponent(stream.name)}`);
  const { data } = await get(path, { query, signal, isText: true });
  return eventsOf(data).reduce(withEvent, stream);
}

function eventsOf(text) {
  return text.split("\n\n").map((block) => Object.fromEntries(block.split("\n").map((line) => {
    const at = line.indexOf(": ");
    return [line.slice(0, at), line.slice(at + 2)];
  }))).filter((fields) => fields.data !== undefined);
}

// A restart supersedes the chunks of its call: all, but in a stream that several calls share.
function withEvent(stream, { id, event, data }) {
  const value = JSON.parse(data);
  if (event === "ended") return { ...stream, last: id, ended: value };
  if (event === "restarted") {
    const kept = stream.parts.filter(({ call }) => call && call !== callOf(value));
    return { ...stream, last: id, parts: kept, restarts: stream.restarts + 1 };
  }
  const chunk = event === "shared" ? value.chunk : value;
  const text = typeof chunk === "string" ? chunk : `${JSON.stringify(chunk)}\n`;
  return { ...stream, last: id, parts: [...stream.parts, { call: event === "shared" ? callOf(value) : "", text }] };
}

const callOf = ({ generation, taskId }) => `${generation}-${taskId}`;
