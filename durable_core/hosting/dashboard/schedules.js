// Every schedule of the hub.
import { html } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Empty, Id, InstanceLink, Loaded, Status, Time } from "./parts.js";
import { duration, visible } from "./format.js";

export function SchedulesPage() {
  const found = useFresh(async (signal) => (await get("schedules", { signal })).data, ["schedules"], 10_000);
  return html`<h1>Schedules</h1>
    <${Loaded} from=${found}>${(schedules) => schedules.length === 0 ? html`<${Empty} title="No schedules">
      <p>A schedule starts an orchestrator by cron or at an interval:</p>
      <pre>${"client = await durable.client()\nawait client.create_schedule(\"nightly\", report, cron=\"0 3 * * *\")"}</pre><//>`
      : html`<div class="scroll"><table class="rows">
        <thead><tr><th>State</th><th>Schedule</th><th>Starts</th><th>When</th><th>Next</th><th>Last</th><th>Last instance</th></tr></thead>
        <tbody>${schedules.map((each) => html`<${ScheduleRow} schedule=${each} key=${each.scheduleId}/>`)}</tbody>
      </table></div>`}<//>`;
}

function ScheduleRow({ schedule }) {
  const instance = schedule.runningInstanceId ?? schedule.lastInstanceId;
  return html`<tr data-row tabindex="-1">
    <td><${Status} status=${schedule.isPaused ? "Suspended" : schedule.runningInstanceId ? "Running" : "Waiting"}/></td>
    <td><${Id} id=${schedule.scheduleId}/></td>
    <td>${visible(schedule.orchestrator)}${schedule.version && html` <span class="dim">${visible(schedule.version)}</span>`}</td>
    <td>${schedule.cron ? html`<code>${schedule.cron}</code> <span class="dim">${schedule.timeZone}</span>`
      : `every ${duration(schedule.intervalSeconds * 1000)}`}</td>
    <td>${schedule.isPaused ? html`<span class="dim">paused</span>` : html`<${Time} at=${schedule.nextDueTime}/>`}</td>
    <td>${schedule.lastDueTime ? html`<${Time} at=${schedule.lastDueTime}/>` : html`<span class="dim">never</span>`}</td>
    <td>${instance && html`<${InstanceLink} id=${instance}/>`}</td></tr>`;
}
