// The gates of limits: how many slots are held, by whom and how long, and who waits for one.
import { html } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Empty, Id, InstanceLink, Loaded, Time } from "./parts.js";
import { count, duration, plural, visible } from "./format.js";
import { href } from "./state.js";

const GATE = "durable.gate";
const PAGE = 100;
const SHOWN = 200; // places of one gate
const EVERY = 5_000;

export function LimitsPage({ query }) {
  const gateKey = query.get("key");
  return gateKey === null ? html`<${GateList} after=${query.get("after")}/>` : html`<${GateView} gateKey=${gateKey}/>`;
}

// A place is stored as [slot, [instance, execution, …], group, priority, number, seconds since 1970].
function placesOf(state, name) {
  return (state?.[name] ?? []).map(([slot, [instanceId], group, priority, number, since]) =>
    ({ slot, instanceId, group, priority, number, since: since * 1000 }));
}

function words(limit) {
  const found = [];
  if (limit.concurrency !== undefined) found.push(`${count(limit.concurrency)} at once`);
  if (limit.rate !== undefined) found.push(`${count(limit.rate)} in ${duration(limit.per * 1000)}`);
  if (limit.each !== undefined) found.push(`${count(limit.each)} of a group`);
  return found.join(", ");
}

const longest = (places) => places.reduce((first, each) => (first && first.since <= each.since ? first : each), undefined);

function GateList({ after }) {
  const found = useFresh(async (signal) => {
    const { data, headers } = await get(`entities/${GATE}`, {
      query: { top: PAGE, fetchState: true }, headers: after ? { "x-ms-continuation-token": after } : {}, signal,
    });
    return { gates: data.filter((each) => each.exists), next: headers.get("x-ms-continuation-token") };
  }, ["limits", after], after ? 0 : EVERY);
  return html`<h1>Limits</h1>
    <${Loaded} from=${found}>${({ gates, next }) => gates.length === 0 && !next ? html`<${Empty} title="No limit is in use">
      <p>A limit is shown here while somebody holds a slot of it, or waits for one: <code>@activity(limit=Limit(...))</code>.</p><//>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Limits"><table class="rows">
          <thead><tr><th>Limit</th><th>Permits</th><th>Held</th><th>Longest held</th><th>Waiting</th><th>Longest waiting</th></tr></thead>
          <tbody>${gates.map((each) => html`<${GateRow} gate=${each} key=${each.entityId.key}/>`)}</tbody></table></div>
        <nav class="pages" aria-label="Pages of the limits">${after && html`<a href=${href(["limits"])}>← First ones</a>`}
          <span class="dim">${plural(gates.length, "gate")}${next ? ", and more" : ""}</span>
          ${next && html`<a href=${href(["limits"], { after: next })}>More →</a>`}</nav>`}<//>`;
}

function GateRow({ gate }) {
  const { key } = gate.entityId;
  const holders = placesOf(gate.state, "holders"), waiting = placesOf(gate.state, "waiting");
  return html`<tr data-row>
    <td><a href=${href(["limits"], { key })}><bdi>${visible(key)}</bdi></a>
      ${gate.stuckReason && html` <span class="warn">${visible(gate.stuckReason)}</span>`}</td>
    <td>${words(gate.state.limit)}</td>
    <td data-held>${count(holders.length)}</td><td><${Since} place=${longest(holders)}/></td>
    <td data-waiting>${count(waiting.length)}</td><td><${Since} place=${longest(waiting)}/></td></tr>`;
}

function Since({ place }) {
  return place ? html`<${InstanceLink} id=${place.instanceId}/> <span class="dim"><${Time} at=${place.since}/></span>` : null;
}

function GateView({ gateKey }) {
  const path = `entities/${GATE}/${encodeURIComponent(gateKey)}`;
  const found = useFresh(async (signal) => {
    try {
      return (await get(path, { signal })).data ?? null;
    } catch (failed) {
      if (failed.status === 404) return null; // nobody uses it any more
      throw failed;
    }
  }, [path], EVERY);
  return html`<p><a href=${href(["limits"])}>← All limits</a></p><h1>Limit <${Id} id=${gateKey} what="key"/></h1>
    <${Loaded} from=${found}>${(state) => state === null || state.limit === undefined
      ? html`<${Empty} title="Nobody holds a slot, and nobody waits"><p>The gate is made again by the next request.</p><//>`
      : html`<dl class="facts"><div><dt>Permits</dt><dd>${words(state.limit)}</dd></div></dl>
        <${Places} title="Held by" places=${placesOf(state, "holders")}/>
        <${Places} title="Waiting" places=${placesOf(state, "waiting")}/>
        <p class="dim">Whose turn it is: the group whose last grant is longest ago; in it the highest priority, then who came first.
          To take all slots away from their holders, <a href=${href(["entities"], { name: GATE, key: gateKey })}>delete the
          state of the gate</a>.</p>`}<//>`;
}

function Places({ title, places }) {
  return html`<h2>${title} <span class="count">${count(places.length)}</span></h2>
    ${places.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table class="rows">
      <thead><tr><th>Instance</th><th>Group</th><th>Priority</th><th>Since</th></tr></thead>
      <tbody>${places.slice(0, SHOWN).map((each) => html`<tr data-row key=${each.slot}>
        <td><${InstanceLink} id=${each.instanceId}/></td><td><bdi>${visible(each.group)}</bdi></td>
        <td>${each.priority || ""}</td><td><${Time} at=${each.since}/></td></tr>`)}</tbody></table></div>
    ${places.length > SHOWN && html`<p class="dim">${count(places.length - SHOWN)} more</p>`}`}`;
}
