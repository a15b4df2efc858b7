// Timers, retries and deadlines that are more than ten minutes away, the next one first.
import { html } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Empty, InstanceLink, Loaded, Time } from "./parts.js";
import { plural } from "./format.js";
import { href } from "./state.js";

const PAGE = 100;
const EVERY = 15_000;

export function TimersPage({ query }) {
  const after = query.get("after");
  const found = useFresh(async (signal) => {
    const { data, headers } = await get("timers", {
      query: { top: PAGE }, headers: after ? { "x-ms-continuation-token": after } : {}, signal,
    });
    return { timers: data, next: headers.get("x-ms-continuation-token") };
  }, ["timers", after], after ? 0 : EVERY);
  return html`<h1>Timers</h1>
    <${Loaded} from=${found}>${({ timers, next }) => timers.length === 0 ? html`<${Empty} title=${after ? "No later timers" : "No timer is far away"}>
      <p>Timers, retries and deadlines that are due in more than ten minutes appear here. Nearer ones are messages in a queue.</p><//>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Timers"><table class="rows">
          <thead><tr><th>Due</th><th>Instance</th><th>What</th></tr></thead>
          <tbody>${timers.map((each) => html`<tr key=${each.instanceId + each.executionId + each.taskId + each.due + each.isDeadline} data-row>
            <td><${Time} at=${each.due}/></td><td><${InstanceLink} id=${each.instanceId}/></td><td>${what(each)}</td></tr>`)}</tbody></table></div>
        <nav class="pages" aria-label="Pages of the timers">${after && html`<a href=${href(["timers"])}>← Next ones</a>`}
          <span class="dim">${plural(timers.length, "timer")}${next ? ", and more" : ""}</span>
          ${next && html`<a href=${href(["timers"], { after: next })}>Later →</a>`}</nav>`}<//>`;
}

const what = ({ taskId, isDeadline }) => (taskId
  ? `${isDeadline ? "time limit of calls, first of task" : "timer or next attempt of task"} ${taskId}`
  : isDeadline ? "time limit of the run" : "start, or time limit of the run");
