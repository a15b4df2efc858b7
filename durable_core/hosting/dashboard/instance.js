// One instance: what it does now, its timeline, its data and events, and what can be done about it.
import { html, useCallback, useState } from "./preact-htm.js";
import { ApiError, get, ofInstance, token, useFresh } from "./api.js";
import { ActionBar } from "./actions.js";
import { Cost } from "./cost.js";
import { Empty, Id, InstanceLink, Loaded, Shape, Status, Time, Value } from "./parts.js";
import { absolute, at, brief, clock, count, duration, plural, visible } from "./format.js";
import { Tags, hasEnded } from "./list.js";
import { address, go, href, now, seconds, useStore, zone } from "./state.js";
import { Streams } from "./streams.js";
import { Attempts, Timeline, attemptsOf } from "./timeline.js";

const FAST = 1000, SLOW = 5000;
const QUIET = 30_000; // ms after which an instance that did not change is asked for less often

// Reads the status and the timeline; the input, which does not change, only once; and why the instance does not go on
// when it has changed, or every few seconds, since that may replay its code.
async function load(id, signal, before) {
  const first = before === undefined;
  const [{ data: status }, { data: timeline }] = await Promise.all([
    get(ofInstance(id), { query: { showInput: first }, signal }), get(ofInstance(id, "timeline"), { signal }),
  ]);
  if (!first) status.input = before.status.input;
  const isNew = first || fingerprint(status, timeline) !== fingerprint(before.status, before.timeline);
  if (!isNew && now() - before.explained < SLOW) return { ...before, status, timeline };
  const [explanation, price] = await Promise.all([
    optional(id, "explain", signal), isNew && !token ? optional(id, "price", signal) : before?.price,
  ]);
  return { status, timeline, explanation, price, explained: now(), changed: isNew ? now() : before.changed };
}

// Code that cannot be replayed hides its explanation, not the rest.
async function optional(id, part, signal) {
  try {
    return (await get(ofInstance(id, part), { signal })).data;
  } catch (error) {
    if (error instanceof ApiError && error.status >= 404) return null;
    throw error;
  }
}

// What differs when something has happened.
const fingerprint = (status, { rows }) => JSON.stringify([status.runtimeStatus, status.lastUpdatedTime, status.stuckReason,
  rows.length, rows.map((row) => [row.status, row.attempts?.length])]);

const period = (data) => {
  if (data === undefined) return SLOW;
  if (hasEnded(data.status.runtimeStatus)) return 0;
  return now() - data.changed < QUIET ? FAST : SLOW;
};

export function InstancePage({ id, query }) {
  const found = useFresh((signal, before) => load(id, signal, before), ["instance", id], period);
  if (found.error?.status === 404) return html`<${Empty} title="There is no such instance">
    <p>${id !== null && html`<${Id} id=${id}/>`} was never started, or has been purged.</p>
    ${!token && html`<p><a href=${href(["instances"])}>See all instances</a></p>`}<//>`;
  if (token && [401, 410].includes(found.error?.status)) return html`<${Empty} title="This link is no longer valid">
    <p>${found.error.message}</p><//>`;
  return html`<${Loaded} from=${found} rows=${10}>${(data) => html`<${Shown} ...${data} reload=${found.reload} query=${query}/>`}<//>`;
}

function Shown({ status, timeline, explanation, price, reload, query }) {
  const loadChild = useCallback(async (child) => (await get(ofInstance(child, "timeline"))).data.rows, []);
  return html`<article class="instance-page">
    <${Head} status=${status} timeline=${timeline} explanation=${explanation} price=${price} reload=${reload}/>
    <${Timeline} timeline=${timeline} loadChild=${token ? null : loadChild}/>
    <${Tabs} status=${status} timeline=${timeline} query=${query}/></article>`;
}

// ---------------------------------------------------------------- head

function Head({ status, timeline, explanation, price, reload }) {
  useStore(seconds);
  const isOver = hasEnded(status.runtimeStatus);
  const created = at(status.createdTime);
  return html`<div class="head">
    <div class="title"><${Status} status=${status.runtimeStatus} stuck=${status.stuckReason}/>
      <h1><${Id} id=${status.instanceId}/></h1>
      <span class="dim">${visible(status.name)}${status.version ? ` ${visible(status.version)}` : ""}</span>
      <span class="grow"></span>
      ${!token && html`<${ActionBar} status=${status} timeline=${timeline} reload=${reload}/>`}</div>
    ${explanation && html`<${Explanation} explanation=${explanation} isOver=${isOver}/>`}
    <p class="facts-line">
      <span>created <${Time} at=${status.createdTime}/></span>
      ${isOver ? html`<span>ended <${Time} at=${status.endedTime ?? status.lastUpdatedTime}/></span><span>took ${duration(at(timeline.endedTime) - at(timeline.createdTime))}</span>`
        : html`<span>open for ${duration(now() - created)}</span>`}
      ${status.scheduledStartTime && html`<span>starts <${Time} at=${status.scheduledStartTime}/></span>`}
      ${status.parent && html`<span>called by ${token ? html`<${Id} id=${status.parent.instanceId}/>` : html`<${InstanceLink} id=${status.parent.instanceId}/>`}${status.parent.taskId ? `, task ${status.parent.taskId}` : ""}</span>`}
      ${!token && (status.waits ?? []).filter((wait) => wait.instanceId).map((wait) => html`<span key=${wait.instanceId}>waits for <${InstanceLink} id=${wait.instanceId}/></span>`)}
      ${status.restartedFrom && html`<span>restart of <${InstanceLink} id=${status.restartedFrom.instanceId}/></span>`}
      ${status.forkedFrom && html`<span>fork of <${InstanceLink} id=${status.forkedFrom.instanceId}/></span>`}
      ${status.deadline && html`<span>ends at the latest <${Time} at=${status.deadline}/></span>`}
      ${timeline.generations.length > 0 && html`<span>generation ${timeline.generations.at(-1).number + 1}</span>`}
      <span>${plural(timeline.rows.filter((row) => row.taskId !== undefined).length, "call")}</span>
      <${Cost} operations=${status.operations} price=${price} isOver=${isOver}/><${Tags} tags=${status.tags}/></p></div>`;
}

// Why it does not go on, or how it has ended; what to do; and where that began, if in another instance.
function Explanation({ explanation, isOver }) {
  const { sentence, action, needsSomebody, chain } = explanation;
  // An instance that has ended is explained once: how long ago it ended is told beside it, and goes on.
  const lasting = isOver ? sentence.replace(/ \([^()]* ago\)/g, "") : sentence;
  const told = action.split("`").map((part, index) => (index % 2 ? html`<code>${visible(part)}</code>` : visible(part)));
  return html`<p class="sentence ${needsSomebody ? "bad" : ""}"><bdi>${visible(lasting)}</bdi></p>
    ${action && html`<p class="action ${needsSomebody ? "" : "dim"}"><bdi>${told}</bdi></p>`}
    ${!token && chain.length > 0 && html`<p class="dim">It began in ${chain.map(({ instanceId }, index) => html`${index > 0 && " → "}<${InstanceLink} id=${instanceId}/>`)}</p>`}`;
}

// ---------------------------------------------------------------- tabs

function Tabs({ status, timeline, query }) {
  const attempts = timeline.rows.flatMap(attemptsOf);
  const tabs = [
    ["data", "Input and output", () => html`<${Data} status=${status}/>`],
    ["events", "Events", () => html`<${EventsTab} status=${status} />`],
    ["streams", "Streams", () => html`<${Streams} id=${status.instanceId} isOver=${hasEnded(status.runtimeStatus)}/>`],
    ...(token ? [] : [["tree", "Tree", () => html`<${Tree} id=${status.instanceId} isOver=${hasEnded(status.runtimeStatus)}/>`]]),
    ...(attempts.length ? [["attempts", `Attempts ${count(attempts.length)}`, () => html`<${Attempts} attempts=${attempts} names/>`]] : []),
  ];
  const chosen = tabs.find(([name]) => name === query.get("tab")) ?? tabs[0];
  const choose = (name) => go(address.get().parts, { tab: name }, { replace: true });
  const arrow = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length];
    choose(next[0]);
    document.getElementById(`tab-${next[0]}`)?.focus();
  };
  return html`<section class="tabbed"><div class="tabs" role="tablist" aria-label="More about the instance" onKeyDown=${arrow}>
    ${tabs.map(([name, title]) => html`<button type="button" role="tab" id="tab-${name}" key=${name} aria-selected=${name === chosen[0]}
      aria-controls="panel" tabindex=${name === chosen[0] ? 0 : -1} onClick=${() => choose(name)}>${title}</button>`)}</div>
    <div role="tabpanel" id="panel" aria-labelledby="tab-${chosen[0]}">${chosen[2]()}</div></section>`;
}

// The output of a failed instance is the text of its failure, which is shown in its place.
function Data({ status }) {
  const parts = [["Input", status.input], ["Custom status", status.customStatus],
    status.failure ? ["Failure", status.failure] : ["Output", status.output]]
    .filter(([name, value]) => (value !== null && value !== undefined) || name === "Input");
  return html`<div class="data">${parts.map(([name, value]) => html`<section key=${name}><h3>${name}</h3>
    ${value === null || value === undefined ? html`<p class="dim">none</p>` : html`<${Value} value=${value} name=${name.toLowerCase()}/>`}</section>`)}</div>`;
}

// The instances above and below this one.
function Tree({ id, isOver }) {
  const found = useFresh(async (signal) => (await get(ofInstance(id, "tree"), { signal })).data, ["tree", id, isOver], isOver ? 0 : SLOW);
  return html`<${Loaded} from=${found}>${(tree) => html`
    ${tree.parent && html`<p>Called by <${InstanceLink} id=${tree.parent.instanceId}/> <span class="dim">${visible(tree.parent.name)}, task ${tree.parent.taskId}</span></p>`}
    ${tree.children.length === 0 ? html`<p class="dim">It has called no sub-orchestrations.</p>` : html`<ul class="tree"><${Node} node=${tree}/></ul>`}
    ${tree.isComplete === false && html`<p class="dim">Some are left out: there are too many.</p>`}`}<//>`;
}

function Node({ node }) {
  return html`<li><div>${node.runtimeStatus ? html`<${Status} status=${node.runtimeStatus} quiet/>` : html`<span class="dim">gone</span>`}
    ${" "}<${InstanceLink} id=${node.instanceId}/> <span class="dim">${visible(node.name)}${node.taskId ? `, task ${node.taskId}` : ""}</span></div>
    ${node.children.length > 0 && html`<ul>${node.children.map((child) => html`<${Node} key=${child.instanceId} node=${child}/>`)}</ul>`}</li>`;
}

const AT_ONCE = 200;

// The history, read when it is looked at; read again with its values when they are asked for.
function EventsTab({ status }) {
  const [withData, setWithData] = useState(false);
  const isOver = hasEnded(status.runtimeStatus);
  const found = useFresh(async (signal) => (await get(ofInstance(status.instanceId), {
    query: { showInput: false, showHistory: true, showHistoryOutput: withData || null }, signal,
  })).data.historyEvents, ["events", status.instanceId, withData, isOver], isOver || withData ? 0 : SLOW);
  return html`<${Loaded} from=${found}>${(events) => html`<${Events} events=${events}
    onData=${withData ? null : () => setWithData(true)}/>`}<//>`;
}

function Events({ events, onData }) {
  const shownZone = useStore(zone);
  const [text, setText] = useState("");
  const [limit, setLimit] = useState(AT_ONCE);
  const wanted = text.toLowerCase();
  const matching = events.map((event, index) => ({ event, index }))
    .filter(({ event }) => !wanted || JSON.stringify(event).toLowerCase().includes(wanted));
  return html`<div class="bar"><input type="search" placeholder="filter events …" aria-label="Filter events" value=${text} data-filter
      onInput=${(event) => setText(event.target.value)}/>
    <span class="dim">${plural(matching.length, "event")}</span><span class="grow"></span>
    ${onData && html`<button type="button" onClick=${onData}>Load inputs and results</button>`}</div>
    <div class="scroll" tabindex="0" role="region" aria-label="Events"><table class="rows events"><thead><tr><th class="num">#</th><th>Time</th><th>Event</th><th class="num">Task</th><th>Name</th><th>Line</th><th>More</th></tr></thead>
    <tbody>${matching.slice(0, limit).map(({ event, index }) => html`<${EventRow} key=${index} event=${event} number=${index + 1} shownZone=${shownZone}/>`)}</tbody></table></div>
    ${matching.length > limit && html`<button type="button" class="more" onClick=${() => setLimit(limit + AT_ONCE * 5)}>Show more of ${count(matching.length)}</button>`}`;
}

function EventRow({ event, number, shownZone }) {
  const { EventType: type, Timestamp: time, TaskId: task, Name: name, Line: line, ...rest } = event;
  const more = Object.keys(rest).length > 0;
  const isBad = type.endsWith("Failed") || (type === "ExecutionCompleted" && rest.Status === "Failed");
  return html`<tr class=${type === "OrchestratorStarted" ? "faint" : ""}><td class="num dim">${number}</td>
    <td><time datetime=${time} title=${absolute(at(time), shownZone)}>${clock(at(time), shownZone, { millis: true })}</time></td>
    <td>${isBad && html`<${Shape} kind="Failed"/> `}${type}</td><td class="num">${task}</td><td><bdi>${visible(name ?? "")}</bdi></td>
    <td class="dim">${visible(line ?? "")}</td>
    <td>${more && html`<details><summary>${brief(rest, 60)}</summary><${Value} value=${rest} name="event"/></details>`}</td></tr>`;
}
