// The list of instances. Its filters are the page's address.
import { html, useEffect, useRef, useState } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { openBulk } from "./bulk.js";
import { Brief, Empty, InstanceLink, Loaded, Shape, Status, Time } from "./parts.js";
import { duration, plural, rootCause, shortType, visible } from "./format.js";
import { address, go, href, now } from "./state.js";

export const STATUSES = ["Pending", "Running", "Suspended", "Completed", "Failed", "Terminated", "Canceled"];
const SINCE = { "": "any time", "1h": "last hour", "1d": "last day", "7d": "last 7 days", "30d": "last 30 days" };
const HOURS = { h: 1, d: 24 };
const PAGE = 50;
const MOST_READS = 5;
const EVERY = 5000;

// The filters of an address as query parameters of the management API.
export function asked(query) {
  const since = /^(\d+)([hd])$/.exec(query.get("since") ?? "");
  return {
    runtimeStatus: query.getAll("status"),
    instanceIdPrefix: query.get("id"),
    name: query.get("name"),
    tags: query.getAll("tag").filter((tag) => /^[^:=]+[:=]./.test(tag)), // not while it is typed
    stuck: query.get("stuck"),
    retrying: query.get("retrying"),
    jobs: query.get("jobs"),
    version: query.get("version"),
    createdTimeFrom: since ? new Date(now() - since[1] * HOURS[since[2]] * 3_600_000).toISOString() : null,
  };
}

export function ListPage({ query }) {
  const after = query.get("after") ?? "";
  const filters = query.toString();
  const found = useFresh(async (signal) => {
    const instances = [];
    let next = after;
    // A page may end before it is full, where few of the rows that were read match.
    for (let read = 0; read < MOST_READS && instances.length < PAGE && (next || read === 0); read++) {
      const { data, headers } = await get("instances", {
        query: { ...asked(query), top: PAGE - instances.length, showDetails: false },
        headers: next ? { "x-ms-continuation-token": next } : {}, signal,
      });
      instances.push(...data);
      next = headers.get("x-ms-continuation-token");
    }
    return { instances, next };
  }, [filters], after ? 0 : EVERY);
  return html`<${Filters} query=${query}/>
    <${Loaded} from=${found} rows=${12}>${({ instances, next }) => html`
      ${instances.length === 0 ? html`<${Nothing} isFiltered=${filters !== ""} after=${after}/>`
        : html`<${Rows} instances=${instances}/>`}
      <${Pages} query=${query} next=${next} shown=${instances.length}/>`}<//>`;
}

// ---------------------------------------------------------------- filters

const isFiltered = (query) => [...query.keys()].some((name) => name !== "after");

function change(changes) {
  const query = new URLSearchParams(address.get().query);
  query.delete("after");
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const each of [value].flat()) if (each) query.append(name, each);
  }
  go(["instances"], Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name)])),
    { replace: true });
}

function Filters({ query }) {
  const statuses = query.getAll("status");
  const toggle = (status) => change({
    status: statuses.includes(status) ? statuses.filter((each) => each !== status) : [...statuses, status],
  });
  return html`<div class="filters" role="search" aria-label="Filters">
    <${Field} name="id" label="Begins with" query=${query} filter placeholder="instance id …"/>
    <${Field} name="name" label="Orchestrator" query=${query} placeholder="orchestrator"/>
    <${Field} name="tag" label="Tag" query=${query} placeholder="tag=value"/>
    <select aria-label="Created" value=${query.get("since") ?? ""} onChange=${(event) => change({ since: event.target.value })}>
      ${Object.entries(SINCE).map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}</select>
    <div class="chips" role="group" aria-label="Status">${STATUSES.map((status) => html`<button type="button" key=${status}
      class="chip" aria-pressed=${statuses.includes(status)} onClick=${() => toggle(status)}>
      <${Status} status=${status} quiet/></button>`)}
      ${["Stuck", "Retrying", "Jobs"].map((kind) => html`<${Only} key=${kind} kind=${kind} query=${query}/>`)}</div>
    ${query.size > 0 && html`<a class="clear" href=${href(["instances"])}>Clear</a>`}
    ${isFiltered(query) && html`<button type="button" onClick=${() => openBulk(asked(query))}>Act on all …</button>`}</div>`;
}

// A filter that is on or off, beside the status.
function Only({ kind, query }) {
  const name = kind.toLowerCase();
  const isOn = query.get(name) === "true";
  return html`<button type="button" class="chip" aria-pressed=${isOn} onClick=${() => change({ [name]: isOn ? "" : "true" })}>
    <span class="status quiet"><${Shape} kind=${kind}/><span class="word">${kind}</span></span></button>`;
}

// A text that becomes a filter a moment after the last key.
function Field({ name, label, query, placeholder, filter }) {
  const given = query.get(name) ?? "";
  const [text, setText] = useState(given);
  const timer = useRef(null);
  // While keys are still coming, the address is behind the text and must not overwrite it.
  useEffect(() => { if (timer.current === null) setText(given); }, [given]);
  const typed = (event) => {
    const value = event.target.value;
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      timer.current = null;
      change({ [name]: value });
    }, 250);
  };
  return html`<input type="search" aria-label=${label} placeholder=${placeholder} value=${text} spellcheck=${false}
    data-filter=${filter} autocomplete="off" maxlength="256" onInput=${typed}/>`;
}

// ---------------------------------------------------------------- rows

function Rows({ instances }) {
  return html`<div class="scroll"><table class="rows list">
    <thead><tr><th>Status</th><th>Instance</th><th>Orchestrator</th><th class="num">Created</th>
      <th class="num">Took</th><th>Note</th></tr></thead>
    <tbody>${instances.map((each) => html`<${Row} instance=${each} key=${each.instanceId + each.createdTime}/>`)}</tbody>
  </table></div>`;
}

const ENDED = ["Completed", "Failed", "Terminated", "Canceled"];
export const hasEnded = (status) => ENDED.includes(status);

function Row({ instance }) {
  const { instanceId, name, version, runtimeStatus, createdTime, endedTime, stuckReason, failure, retrying, tags } = instance;
  const isOver = hasEnded(runtimeStatus);
  const took = endedTime ? Date.parse(endedTime) - Date.parse(createdTime) : null;
  const open = (event) => {
    if (!event.target.closest("a, button, input") && !String(getSelection())) go(["instances", instanceId]);
  };
  return html`<tr data-row onClick=${open}>
    <td><${Status} status=${runtimeStatus} stuck=${stuckReason} quiet=${isOver && runtimeStatus !== "Failed"}/></td>
    <td class="main"><${InstanceLink} id=${instanceId}/></td>
    <td class="name">${visible(name)}${version && html` <span class="dim">${visible(version)}</span>`}</td>
    <td class="num"><${Time} at=${createdTime}/></td>
    <td class="num">${took !== null && (took < 1000 ? "<1 s" : duration(took))}</td>
    <td class="note"><${Note} stuckReason=${stuckReason} failure=${failure} retrying=${retrying}/><${Tags} tags=${tags}/></td></tr>`;
}

function Note({ stuckReason, failure, retrying }) {
  if (stuckReason) return html`<${Brief} value=${stuckReason}/> `;
  if (failure) {
    const { type, message } = rootCause(failure);
    return html`<${Brief} value=${[shortType(type), message].filter(Boolean).join(": ")}/> `;
  }
  return retrying ? html`<${Shape} kind="Retrying"/> ${plural(retrying, "call")} waiting for another attempt ` : null;
}

export function Tags({ tags }) {
  return Object.entries(tags ?? {}).map(([name, value]) => html`<span class="tag" key=${name}><bdi>${visible(name)}</bdi>
    <b><bdi>${visible(value)}</bdi></b></span>`);
}

function Nothing({ isFiltered, after }) {
  if (after) return html`<${Empty} title="No older instances"/>`;
  if (isFiltered) return html`<${Empty} title="No instance matches these filters">
    <p><a href=${href(["instances"])}>Clear the filters</a> to see every instance.</p><//>`;
  return html`<${Empty} title="No instances yet"><p>Start one; it appears here by itself:</p>
    <pre>curl -X POST ${location.origin}${new URL("../orchestrators/NAME", import.meta.url).pathname} -H "Content-Type: application/json" -d "{}"</pre><//>`;
}

// The continuation tokens of the pages that led here, so that there is a way back.
const trail = [];

function Pages({ query, next, shown }) {
  const after = query.get("after") ?? "";
  const at = trail.indexOf(after);
  const given = Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name)]));
  const older = () => {
    trail.splice(at === -1 ? 0 : at + 1, trail.length, ...(at === -1 ? [after, next] : [next]));
  };
  const newer = at > 0 ? trail[at - 1] : "";
  return html`<nav class="pages" aria-label="Pages of the list">
    ${after && html`<a href=${href(["instances"], { ...given, after: newer })}>← Newer</a>`}
    <span class="dim">${plural(shown, "instance")}${next ? ", and more" : ""}</span>
    ${next && html`<a href=${href(["instances"], { ...given, after: next })} onClick=${older}>Older →</a>`}</nav>`;
}
