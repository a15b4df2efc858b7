// Every schedule of the hub.
import { html, useState } from "./preact-htm.js";
import { Refusal } from "./actions.js";
import { call, get, useFresh } from "./api.js";
import { Empty, Id, InstanceLink, Loaded, Status, Time, closeDialog, openDialog, say } from "./parts.js";
import { duration, visible } from "./format.js";

export function SchedulesPage() {
  const found = useFresh(async (signal) => (await get("schedules", { signal })).data, ["schedules"], 10_000);
  return html`<h1>Schedules</h1>
    <${Loaded} from=${found}>${(schedules) => schedules.length === 0 ? html`<${Empty} title="No schedules">
      <p>A schedule starts an orchestrator by cron or at an interval:</p>
      <pre>${"client = await durable.client()\nawait client.create_schedule(\"nightly\", report, cron=\"0 3 * * *\")"}</pre><//>`
      : html`<div class="scroll"><table class="rows">
        <thead><tr><th>State</th><th>Schedule</th><th>Starts</th><th>When</th><th>Next</th><th>Last</th><th>Last instance</th>
          <th><span class="hidden">Actions</span></th></tr></thead>
        <tbody>${schedules.map((each) => html`<${ScheduleRow} schedule=${each} key=${each.scheduleId} reload=${found.reload}/>`)}</tbody>
      </table></div>`}<//>`;
}

const ACTIONS = {
  pause: ["Pause", "It starts no runs until it is resumed; runs that are due meanwhile are dropped. A run that is under way goes on.", "Paused"],
  resume: ["Resume", "It starts runs again, from the next due time on.", "Resumed"],
  trigger: ["Run now", "A run starts now, besides those that are due.", "A run begins"],
  delete: ["Delete", "It starts no more runs, and is gone from this list. A run that is under way goes on.", "Deleted"],
};

function ScheduleRow({ schedule, reload }) {
  const instance = schedule.runningInstanceId ?? schedule.lastInstanceId;
  return html`<tr data-row tabindex="-1">
    <td><${Status} status=${schedule.isPaused ? "Paused" : schedule.runningInstanceId ? "Running" : "Waiting"}/></td>
    <td><${Id} id=${schedule.scheduleId}/></td>
    <td>${visible(schedule.orchestrator)}${schedule.version && html` <span class="dim">${visible(schedule.version)}</span>`}</td>
    <td>${schedule.cron ? html`<code>${schedule.cron}</code> <span class="dim">${schedule.timeZone}</span>`
      : `every ${duration(schedule.intervalSeconds * 1000)}`}</td>
    <td>${schedule.isPaused ? html`<span class="dim">paused</span>` : html`<${Time} at=${schedule.nextDueTime}/>`}</td>
    <td>${schedule.lastDueTime ? html`<${Time} at=${schedule.lastDueTime}/>` : html`<span class="dim">never</span>`}</td>
    <td>${instance && html`<${InstanceLink} id=${instance}/>`}</td>
    <td><div class="actions">${[schedule.isPaused ? "resume" : "pause", "trigger", "delete"].map((name) => html`<button
      type="button" key=${name} class=${name === "delete" ? "grave" : ""}
      onClick=${() => openDialog(() => html`<${Confirmation} name=${name} id=${schedule.scheduleId} reload=${reload}/>`)}>
      ${ACTIONS[name][0]}</button>`)}</div></td></tr>`;
}

function Confirmation({ name, id, reload }) {
  const [error, setError] = useState(null);
  const [title, says, done] = ACTIONS[name];
  const confirm = async (event) => {
    event.preventDefault();
    try {
      await call("POST", `schedules/${encodeURIComponent(id)}/${name}`);
      closeDialog();
      say(done);
      reload();
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<form onSubmit=${confirm}><h2 id="dialog-title">${title}</h2>
    <p class="target"><bdi>${visible(id)}</bdi></p><p>${says}</p>
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class=${name === "delete" ? "grave solid" : "primary"} autofocus>${title}</button></div></form>`;
}
