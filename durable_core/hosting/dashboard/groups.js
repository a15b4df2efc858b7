// Instances that need somebody, grouped by their cause: one row per cause, not one per instance.
import { html, useState } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Count, Empty, InstanceLink, Loaded, Shape, Time } from "./parts.js";
import { plural, rootCause, shortType, visible } from "./format.js";

const LOOKED_AT = 500;
const EVERY = 15_000;

// What differs between two messages of one cause: numbers, ids, quoted values.
const alike = (message) => message.replace(/(["'`])(?:(?!\1).)*\1/g, "…").replace(/[0-9a-f]{8,}|\d+/gi, "…");

export function FailuresPage() {
  return html`<${Groups} title="Failures" kind="Failed" filter=${{ runtimeStatus: "Failed", order: "ended" }} cause=${failed}
    one="failed instance" empty="Nothing has failed"
    hint="An instance that fails appears here, together with those that failed for the same reason."/>`;
}

export function StuckPage() {
  return html`<${Groups} title="Stuck" kind="Stuck" filter=${{ stuck: true }} cause=${stuck}
    one="stuck instance" empty="Nothing is stuck"
    hint="An instance whose code cannot go on appears here, with the reason. It has not failed: it goes on once the cause is removed."/>`;
}

function failed({ name, failure, output }) {
  const { type, message, line } = rootCause(failure ?? { type: "", message: String(output ?? "") });
  return { key: [name, type, line ?? alike(message)].join("\u0000"), title: shortType(type) || "Failed", text: message, line };
}

const stuck = ({ name, stuckReason }) => ({ key: name + "\u0000" + alike(stuckReason), title: name, text: stuckReason });

// The first groups, for the overview.
export function LatestFailures() {
  const found = useFresh(async (signal) => (await get("instances", {
    query: { runtimeStatus: "Failed", order: "ended", top: 20, showDetails: false }, signal,
  })).data, ["latest failures"], EVERY);
  return html`<${Loaded} from=${found} rows=${2}>${(instances) => instances.length === 0 ? html`<p class="dim">Nothing has failed.</p>`
    : html`<div class="groups">${grouped(instances, failed).slice(0, 4).map((group) => html`<${Group} group=${group} kind="Failed" key=${group.key}/>`)}</div>`}<//>`;
}

function Groups({ title, kind, filter, cause, one, empty, hint }) {
  const found = useFresh(async (signal) => {
    const { data, headers } = await get("instances", { query: { ...filter, top: LOOKED_AT, showDetails: false }, signal });
    return { groups: grouped(data, cause), shown: data.length, isAll: !headers.get("x-ms-continuation-token") };
  }, [title], EVERY);
  return html`<h1>${title}</h1>
    <${Loaded} from=${found}>${({ groups, shown, isAll }) => groups.length === 0 ? html`<${Empty} title=${empty}><p>${hint}</p><//>`
      : html`<p class="dim">${isAll ? plural(shown, one) : `The newest ${plural(shown, one)}`}, in ${plural(groups.length, "group")}.</p>
        <div class="groups">${groups.map((group) => html`<${Group} group=${group} kind=${kind} key=${group.key}/>`)}</div>`}<//>`;
}

function grouped(instances, cause) {
  const groups = new Map();
  for (const each of instances) {
    const of = cause(each);
    const group = groups.get(of.key) ?? { ...of, name: each.name, instances: [] };
    group.instances.push(each);
    groups.set(of.key, group);
  }
  return [...groups.values()].sort((a, b) => b.instances.length - a.instances.length);
}

const ended = (instance) => instance.endedTime ?? instance.lastUpdatedTime;

function Group({ group, kind }) {
  const [isOpen, setOpen] = useState(false);
  const { title, text, line, instances, name } = group;
  return html`<section class="group" data-row>
    <button type="button" class="fold" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      <${Count} n=${instances.length}/>
      <span class="what"><strong><${Shape} kind=${kind}/> ${visible(title)}</strong> ${" "}<span class="brief"><bdi>${visible(text.slice(0, 300))}</bdi></span></span>
      ${line && html`<span class="dim">${visible(line)}</span>`}
      <span class="dim">${visible(name)}</span>
      <span class="dim">latest <${Time} at=${ended(instances[0])}/></span></button>
    ${isOpen && html`<ul class="members">${instances.slice(0, 100).map((each) => html`<li key=${each.instanceId}>
      <${InstanceLink} id=${each.instanceId}/> <span class="dim"><${Time} at=${ended(each)}/></span></li>`)}</ul>`}
  </section>`;
}
