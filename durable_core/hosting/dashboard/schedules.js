// Every schedule of the hub.
import { html, useState } from "./preact-htm.js";
import { Refusal } from "./actions.js";
import { call, get, useFresh } from "./api.js";
import { Empty, Id, InstanceLink, Loaded, Status, Time, closeDialog, openDialog, say } from "./parts.js";
import { count, duration, plural, visible } from "./format.js";
import { go, now } from "./state.js";

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
    <td><${Status} status=${schedule.isPaused ? "Paused" : schedule.runningInstanceId ? "Running" : "Waiting"}/>${schedule.isPaused && schedule.pauseReason
      && html` <span class="dim">${visible(schedule.pauseReason)}</span>`}</td>
    <td><${Id} id=${schedule.scheduleId}/>${schedule.isDeclared && html` <span class="dim"
      title="The app's code declares it: a host puts it right when it starts">in code</span>`}</td>
    <td>${visible(schedule.orchestrator)}${schedule.version && html` <span class="dim">${visible(schedule.version)}</span>`}</td>
    <td>${schedule.cron ? html`<code>${schedule.cron}</code> <span class="dim">${schedule.timeZone}</span>`
      : `every ${duration(schedule.intervalSeconds * 1000)}`}</td>
    <td>${schedule.isPaused ? html`<span class="dim">paused</span>` : html`<${Time} at=${schedule.nextStartTime ?? schedule.nextDueTime}/>`}${
      schedule.missedRuns > 0 && html` <span class="dim">${schedule.missedRuns} missed</span>`}</td>
    <td>${schedule.lastDueTime ? html`<${Time} at=${schedule.lastDueTime}/>` : html`<span class="dim">never</span>`}</td>
    <td>${instance && html`<${InstanceLink} id=${instance}/>`}</td>
    <td><div class="actions">${[schedule.isPaused ? "resume" : "pause", "trigger"].map((name) => html`<${Action} key=${name} name=${name}
        schedule=${schedule} reload=${reload}/>`)}
      <button type="button" onClick=${() => openDialog(() => html`<${Backfill} id=${schedule.scheduleId}/>`)}>Backfill</button>
      <${Action} name="delete" schedule=${schedule} reload=${reload}/></div></td></tr>`;
}

function Action({ name, schedule, reload }) {
  return html`<button type="button" class=${name === "delete" ? "grave" : ""}
    onClick=${() => openDialog(() => html`<${Confirmation} name=${name} id=${schedule.scheduleId} reload=${reload}/>`)}>${ACTIONS[name][0]}</button>`;
}

const DAY = 86_400_000;
const inField = (moment) => new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 16); // local, to the minute

// The runs of a past period. The fields are in the time of the browser, and what is sent is UTC.
function Backfill({ id }) {
  const [values, setValues] = useState(() => ({ from: inField(now() - DAY), to: inField(now()), atOnce: "1" }));
  const [found, setFound] = useState(null); // the due times of the period, counted by the app
  const [error, setError] = useState(null);
  const [isSending, setSending] = useState(false);
  const set = (name) => (event) => {
    setValues({ ...values, [name]: event.target.value });
    setFound(null);
    setError(null);
  };
  const from = new Date(values.from), to = new Date(values.to);
  const problem = Number.isNaN(+from) || Number.isNaN(+to) ? "Give both ends of the period."
    : to < from ? "The period ends before it begins."
    : from > now() ? "The period has not begun yet."
    : !/^[1-9]\d{0,5}$/.test(values.atOnce) ? "At least one run must go at once."
    : found?.runs === 0 ? "No run was due in this period."
    : found?.isComplete === false ? `More than ${count(found.runs)} runs were due: one backfill starts no more. Split the period at ${found.last}.` : null;
  const confirm = async (event) => {
    event.preventDefault();
    setSending(true);
    setError(null);
    try {
      const { data } = await call("POST", `schedules/${encodeURIComponent(id)}/backfill`, { query: {
        from: from.toISOString(), to: to.toISOString(), maxConcurrency: values.atOnce, ...(found === null ? { dryRun: true } : {}),
      } });
      if (found === null) {
        setFound(data);
        setSending(false);
        return;
      }
      closeDialog();
      say("The backfill begins");
      go(["instances", data.instanceId]);
    } catch (failed) {
      setError(failed);
      setSending(false);
    }
  };
  return html`<form onSubmit=${confirm}><h2 id="dialog-title">Backfill</h2>
    <p class="target"><bdi>${visible(id)}</bdi></p>
    <p>The runs that were due in this period start now, both ends included, each once: one that has been started before is
      passed over. The backfill is an instance, which can be followed and cancelled.</p>
    <label>From<input type="datetime-local" value=${values.from} onInput=${set("from")} autofocus required/></label>
    <label>To<input type="datetime-local" value=${values.to} onInput=${set("to")} required/></label>
    <label>Runs at once<input type="number" min="1" step="1" value=${values.atOnce} onInput=${set("atOnce")} required/></label>
    ${problem && html`<p class="dim" role="status">${problem}</p>`}
    ${found && !problem && html`<p role="status">${plural(found.runs, "run")} were due, from ${found.first} to ${found.last}.</p>`}
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class="primary" disabled=${isSending || problem !== null} title=${problem}>
        ${found === null || problem !== null ? "Preview" : `Start ${plural(found.runs, "run")}`}</button></div></form>`;
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
