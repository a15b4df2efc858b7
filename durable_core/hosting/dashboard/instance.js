// One instance: what it does now, its timeline, its data and events, and what can be done about it.
import { html, useCallback, useMemo, useState } from "./preact-htm.js";
import { ApiError, get, ofInstance, token, useFresh } from "./api.js";
import { ActionBar } from "./actions.js";
import { Empty, Id, InstanceLink, Loaded, Shape, Status, Time, Value } from "./parts.js";
import { absolute, at, brief, clock, count, duration, plural, visible } from "./format.js";
import { rowsOf } from "./history-rows.js";
import { Tags, hasEnded } from "./list.js";
import { address, go, href, now, seconds, useStore, zone } from "./state.js";
import { Attempts, Timeline } from "./timeline.js";

const FAST = 1000, SLOW = 5000;
const QUIET = 30_000; // ms after which an instance that did not change is asked for less often

// Reads the status; the history only when the instance has changed, and the input only once.
async function load(id, signal, before) {
  const first = before === undefined;
  const { data: status } = await get(ofInstance(id), { query: { showInput: first, showHistory: first }, signal });
  if (first) return { status, events: status.historyEvents, changed: now() };
  status.input = before.status.input;
  const isSame = status.lastUpdatedTime === before.status.lastUpdatedTime && status.runtimeStatus === before.status.runtimeStatus;
  // The time holds whole seconds: what came later in the same second is seen by one more look.
  if (isSame && now() - at(status.lastUpdatedTime) > 4000) return { ...before, status };
  const { data } = await get(ofInstance(id), { query: { showInput: false, showHistory: true }, signal });
  const isNew = data.historyEvents.length !== before.events.length;
  return { status: { ...data, input: before.status.input }, events: data.historyEvents, changed: isNew ? now() : before.changed };
}

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

function Shown({ status, events, reload, query }) {
  const isOver = hasEnded(status.runtimeStatus);
  const timeline = useMemo(() => ({
    createdTime: events[0]?.Timestamp ?? status.createdTime,
    endedTime: isOver ? events[events.length - 1]?.Timestamp ?? status.lastUpdatedTime : undefined,
    rows: rowsOf(events, isOver),
  }), [events, isOver]);
  const loadChild = useCallback(async (child) => {
    const { data } = await get(ofInstance(child), { query: { showInput: false, showHistory: true } });
    return rowsOf(data.historyEvents, hasEnded(data.runtimeStatus));
  }, []);
  return html`<article class="instance-page">
    <${Head} status=${status} timeline=${timeline} reload=${reload}/>
    <${Timeline} timeline=${timeline} loadChild=${token ? null : loadChild}/>
    <${Tabs} status=${status} events=${events} timeline=${timeline} query=${query}/></article>`;
}

// ---------------------------------------------------------------- head

function Head({ status, timeline, reload }) {
  useStore(seconds);
  const isOver = hasEnded(status.runtimeStatus);
  const created = at(status.createdTime);
  return html`<div class="head">
    <div class="title"><${Status} status=${status.runtimeStatus} stuck=${status.stuckReason}/>
      <h1><${Id} id=${status.instanceId}/></h1>
      <span class="dim">${visible(status.name)}${status.version ? ` ${visible(status.version)}` : ""}</span>
      <span class="grow"></span>
      ${!token && html`<${ActionBar} status=${status} timeline=${timeline} reload=${reload}/>`}</div>
    <p class="sentence ${status.stuckReason || status.runtimeStatus === "Failed" ? "bad" : ""}"><bdi>${sentence(status, timeline)}</bdi></p>
    <p class="facts-line">
      <span>created <${Time} at=${status.createdTime}/></span>
      ${isOver ? html`<span>ended <${Time} at=${status.lastUpdatedTime}/></span><span>took ${duration(at(timeline.endedTime) - at(timeline.createdTime))}</span>`
        : html`<span>open for ${duration(now() - created)}</span>`}
      ${status.scheduledStartTime && html`<span>starts <${Time} at=${status.scheduledStartTime}/></span>`}
      ${status.deadline && html`<span>ends at the latest <${Time} at=${status.deadline}/></span>`}
      <span>${plural(timeline.rows.length, "call")}</span><${Tags} tags=${status.tags}/></p></div>`;
}

// What it does, in one sentence.
function sentence(status, timeline) {
  const when = (time) => (at(time) < now() ? `${duration(now() - at(time))} ago` : `in ${duration(at(time) - now())}`);
  if (status.stuckReason) return `It is stuck: ${visible(status.stuckReason)}`;
  if (status.runtimeStatus === "Failed") return `It failed: ${visible(status.failure ? `${status.failure.type}: ${status.failure.message}` : brief(status.output))}`;
  if (status.runtimeStatus === "Completed") return `It completed in ${duration(at(timeline.endedTime) - at(timeline.createdTime))}.`;
  if (status.runtimeStatus === "Terminated" || status.runtimeStatus === "Canceled")
    return `It was ${status.runtimeStatus === "Canceled" ? "cancelled" : "terminated"}${status.output ? `: ${brief(status.output)}` : "."}`;
  if (status.runtimeStatus === "Suspended") return "It is suspended. Resume lets it go on.";
  if (status.runtimeStatus === "Pending") return status.scheduledStartTime ? `It begins ${when(status.scheduledStartTime)}.` : "It waits for a host that takes it.";
  const open = timeline.rows.filter((row) => !row.endedTime);
  if (open.length === 0) return "It waits for an event.";
  const [first] = open;
  const named = first.kind === "timer" ? `sleeps until ${when(first.dueTime)}` : `waits for ${visible(first.name)} (task ${first.taskId})`;
  return `It ${named}${first.line ? `, ${first.line}` : ""}, since ${duration(now() - at(first.scheduledTime))}` +
    (open.length > 1 ? `, and for ${plural(open.length - 1, "other call")}.` : ".");
}

// ---------------------------------------------------------------- tabs

function Tabs({ status, events, timeline, query }) {
  const attempts = timeline.rows.flatMap((row) => (row.attempts ?? []).map((each) => ({ ...each, call: row.name, taskId: row.taskId })));
  const tabs = [
    ["data", "Input and output", () => html`<${Data} status=${status}/>`],
    ["events", `Events ${count(events.length)}`, () => html`<${Events} id=${status.instanceId} events=${events}/>`],
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

function Data({ status }) {
  const parts = [["Input", status.input], ["Custom status", status.customStatus], ["Output", status.output], ["Failure", status.failure]]
    .filter(([name, value]) => (value !== null && value !== undefined) || name === "Input");
  return html`<div class="data">${parts.map(([name, value]) => html`<section key=${name}><h3>${name}</h3>
    ${value === null || value === undefined ? html`<p class="dim">none</p>` : html`<${Value} value=${value} name=${name.toLowerCase()}/>`}</section>`)}</div>`;
}

const AT_ONCE = 200;

function Events({ id, events }) {
  const shownZone = useStore(zone);
  const [text, setText] = useState("");
  const [limit, setLimit] = useState(AT_ONCE);
  const [withData, setWithData] = useState(null);
  const all = withData && withData.length >= events.length ? withData : events;
  const wanted = text.toLowerCase();
  const matching = all.map((event, index) => ({ event, index }))
    .filter(({ event }) => !wanted || JSON.stringify(event).toLowerCase().includes(wanted));
  const loadData = async () => {
    const { data } = await get(ofInstance(id), { query: { showInput: false, showHistory: true, showHistoryOutput: true } });
    setWithData(data.historyEvents);
  };
  return html`<div class="bar"><input type="search" placeholder="filter events …" aria-label="Filter events" value=${text} data-filter
      onInput=${(event) => setText(event.target.value)}/>
    <span class="dim">${plural(matching.length, "event")}</span><span class="grow"></span>
    ${!withData && html`<button type="button" onClick=${loadData}>Load inputs and results</button>`}</div>
    <div class="scroll"><table class="rows events"><thead><tr><th class="num">#</th><th>Time</th><th>Event</th><th class="num">Task</th><th>Name</th><th>Line</th><th>More</th></tr></thead>
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
