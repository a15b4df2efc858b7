// The hub at a glance: what runs, what needs somebody, and the hosts and queues that do the work.
import { html } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { LatestFailures } from "./groups.js";
import { Id, Loaded, Shape, Status, Time } from "./parts.js";
import { count, duration, plural, visible } from "./format.js";
import { STATUSES } from "./list.js";
import { href } from "./state.js";

const EVERY = 10_000;

function useHub() {
  return useFresh(async (signal) => (await get("hub", { signal })).data, ["hub"], EVERY);
}

export function OverviewPage() {
  const found = useHub();
  return html`<${Loaded} from=${found}>${(hub) => html`
    <h1>Hub ${visible(hub.hub)} <span class="dim small">${visible(hub.store)}, ${plural(hub.partitions, "partition")}</span></h1>
    <${Needs} hub=${hub}/>
    <section class="tiles" aria-label="Instances by status">${STATUSES.map((status) => html`<a key=${status} class="tile"
      href=${href(["instances"], { status })}><b>${count(hub.counts[status] ?? 0)}${hub.isComplete ? "" : "+"}</b> <${Status} status=${status} quiet/></a>`)}</section>
    ${!hub.isComplete && html`<p class="dim">The newest thousand open and the newest thousand ended instances of each partition are counted.</p>`}
    <p><a href=${href(["cost"])}>What each orchestrator costs</a></p>
    <h2>Latest failures</h2><${LatestFailures}/>
    <${Hosts} hosts=${hub.hosts}/>`}<//>`;
}

export function HostsPage() {
  const found = useHub();
  return html`<h1>Hosts and queues</h1>
    <${Loaded} from=${found}>${(hub) => html`<${Hosts} hosts=${hub.hosts}/><${Queues} queues=${hub.queues}/>`}<//>`;
}

// What somebody should look at; nothing where all is well.
function Needs({ hub }) {
  const poisoned = hub.queues.filter(({ kind, depth }) => kind === "poison" && depth > 0);
  const alive = hub.hosts.filter(({ isAlive }) => isAlive);
  const open = (hub.counts.Pending ?? 0) + (hub.counts.Running ?? 0);
  const needs = [
    hub.stuck > 0 && html`<a class="need" href=${href(["stuck"])}><${Shape} kind="Stuck"/> ${plural(hub.stuck, "instance")} stuck</a>`,
    hub.retrying > 0 && html`<a class="need mild" href=${href(["instances"], { retrying: "true" })}><${Shape} kind="Retrying"/> ${plural(hub.retrying, "instance")} waiting for another attempt</a>`,
    poisoned.length > 0 && html`<span class="need"><${Shape} kind="Stuck"/> ${plural(poisoned.reduce((sum, { depth }) => sum + depth, 0), "message")} set aside in ${poisoned.map(({ name }) => visible(name)).join(", ")}</span>`,
    alive.length === 0 && open > 0 && html`<span class="need"><${Shape} kind="Stuck"/> No host is alive: nothing goes on</span>`,
  ].filter(Boolean);
  return needs.length > 0 && html`<section class="needs" aria-label="What needs somebody">${needs}</section>`;
}

function Hosts({ hosts }) {
  return html`<section><h2>Hosts</h2>
    ${hosts.length === 0 ? html`<p class="dim">No host has been seen yet. <code>durable_core host</code> starts one.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Hosts"><table class="rows"><thead><tr><th>State</th><th>Host</th><th>Name</th><th class="num">Pid</th><th>Version</th><th>Build</th>
          <th class="num">Running</th><th class="num">Warm</th><th>Started</th><th>Last seen</th></tr></thead>
        <tbody>${hosts.map((each) => html`<tr key=${each.id} data-row class=${each.isAlive ? "" : "faint"}>
          <td><span class="status ${each.isAlive ? "Running" : ""}"><${Shape} kind=${each.isAlive ? "Running" : "Terminated"}/> ${each.isAlive ? "alive" : "gone"}</span></td>
          <td><${Id} id=${each.id}/></td><td>${visible(each.name)}</td><td class="num">${each.pid}</td><td>${visible(each.version)}</td>
          <td><${Id} id=${each.build} what="build"/></td><td class="num">${each.inFlight}</td><td class="num">${each.warm}</td>
          <td><${Time} at=${each.startedTime}/></td><td><${Time} at=${each.lastSeenTime}/></td></tr>`)}</tbody></table></div>`}</section>`;
}

function Queues({ queues }) {
  return html`<section><h2>Queues</h2><div class="scroll" tabindex="0" role="region" aria-label="Queues"><table class="rows">
    <thead><tr><th>Queue</th><th>Kind</th><th class="num">Messages</th><th class="num">Oldest</th><th>Serves</th></tr></thead>
    <tbody>${queues.map((each) => html`<tr key=${each.name} data-row><td>${visible(each.name)}</td><td>${each.kind}</td>
      <td class="num">${each.kind === "poison" && each.depth > 0 && html`<${Shape} kind="Stuck"/> `}${count(each.depth)}</td>
      <td class="num">${each.oldestSeconds !== undefined && duration(each.oldestSeconds * 1000)}</td>
      <td>${visible((each.serves ?? []).join(", ").replace("*", "all without a queue of their own"))}</td></tr>`)}</tbody></table></div></section>`;
}
