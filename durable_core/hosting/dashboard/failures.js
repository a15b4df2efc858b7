// What has failed, grouped: one row per kind of error and the line that raised it, not one per instance.
import { html, useState } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Count, Empty, InstanceLink, Loaded, Shape, Time } from "./parts.js";
import { plural, shortType, visible } from "./format.js";

const LOOKED_AT = 200;

// What differs between two messages of one error: numbers, ids, quoted values.
const alike = (message) => message.replace(/(["'`])(?:(?!\1).)*\1/g, "…").replace(/[0-9a-f]{8,}|\d+/gi, "…");

export function FailuresPage() {
  const found = useFresh(async (signal) => {
    const { data, headers } = await get("instances", {
      query: { runtimeStatus: "Failed", top: LOOKED_AT, showInput: false }, signal,
    });
    return { groups: grouped(data), shown: data.length, isAll: !headers.get("x-ms-continuation-token") };
  }, ["failures"], 30_000);
  return html`<h1>Failures</h1>
    <${Loaded} from=${found}>${({ groups, shown, isAll }) => groups.length === 0 ? html`<${Empty} title="Nothing has failed">
      <p>An instance that fails appears here, together with those that failed for the same reason.</p><//>`
      : html`<p class="dim">${isAll ? plural(shown, "failed instance") : `The newest ${plural(shown, "failed instance")}`},
          ${" "}in ${plural(groups.length, "group")}.</p>
        <div class="groups">${groups.map((group) => html`<${Group} group=${group} key=${group.key}/>`)}</div>`}<//>`;
}

function grouped(instances) {
  const groups = new Map();
  for (const each of instances) {
    const failure = innermost(each.failure ?? { type: "", message: String(each.output ?? "") });
    const key = [each.name, failure.type, alike(failure.message)].join("\u0000");
    const group = groups.get(key) ?? { key, name: each.name, failure, instances: [] };
    group.instances.push(each);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.instances.length - a.instances.length);
}

// The error that began it: what an activity raised, below the errors that passed it on.
const innermost = (failure) => (failure.cause ? innermost(failure.cause) : failure);

function Group({ group }) {
  const [isOpen, setOpen] = useState(false);
  const { failure, instances, name } = group;
  return html`<section class="group" data-row>
    <button type="button" class="fold" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      <${Count} n=${instances.length}/>
      <span class="what"><strong><${Shape} kind="Failed"/> ${visible(shortType(failure.type) || "Failed")}</strong>
        ${" "}<span class="brief"><bdi>${visible(failure.message.slice(0, 300))}</bdi></span></span>
      <span class="dim">${visible(name)}</span>
      <span class="dim">latest <${Time} at=${instances[0].lastUpdatedTime}/></span></button>
    ${isOpen && html`<ul class="members">${instances.slice(0, 100).map((each) => html`<li key=${each.instanceId}>
      <${InstanceLink} id=${each.instanceId}/> <span class="dim"><${Time} at=${each.lastUpdatedTime}/></span></li>`)}</ul>`}
  </section>`;
}
