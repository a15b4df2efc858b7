// A fork: a new instance with a copy of this one's history up to a place. First what it would run, then the request.
import { html, useState } from "./preact-htm.js";
import { Refusal, jsonProblem } from "./actions.js";
import { call, ofInstance } from "./api.js";
import { closeDialog, openDialog, say } from "./parts.js";
import { visible } from "./format.js";
import { go } from "./state.js";

const OVERRIDES = { result: "has the result", failure: "has failed with", input: "runs again with the input",
  step: "runs again, with another end of a recorded step" };
const NOTHING = { task: "", kind: "result", value: "" };

export const openFork = (status, timeline) => openDialog(() => html`<${Fork} status=${status} timeline=${timeline}/>`);

// The places before which a copy may end, each with what the request says of it.
function placesOf(status, timeline) {
  const places = status.runtimeStatus === "Failed" ? [["the failure that ended it", { failure: true }]] : [];
  const came = {};
  for (const row of timeline.rows) {
    if (row.taskId !== undefined && row.endedTime)
      places.push([`the end of ${visible(row.name || row.kind)} #${row.taskId}`, { task: row.taskId }]);
    if (row.kind !== "event" || row.taskId !== undefined || row.status === "Waiting") continue;
    const number = came[row.name] = (came[row.name] ?? 0) + 1;
    places.push([`the event ${visible(row.name)} came${number > 1 ? `, time ${number}` : ""}`, { event: row.name, number }]);
  }
  return places;
}

function Fork({ status, timeline }) {
  const places = placesOf(status, timeline);
  const [values, setValues] = useState({ place: 0, newId: "", version: "", suspended: false });
  const [overrides, setOverrides] = useState([]);
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState(null);
  const [isSending, setSending] = useState(false);
  const set = (name) => (event) => {
    setValues({ ...values, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
    setPreview(null);
  };
  const override = (index, changes) => {
    setOverrides(overrides.map((each, at) => (at === index ? { ...each, ...changes } : each)));
    setPreview(null);
  };
  const remove = (index) => {
    setOverrides(overrides.filter((_, at) => at !== index));
    setPreview(null);
  };
  const { place, newId, version, suspended } = values;
  const problem = !places.length ? "Nothing of it has ended: there is no place to fork from." : problemOf(overrides);
  const body = (more) => JSON.stringify({
    until: places[place][1],
    ...(overrides.length ? { overrides: Object.fromEntries(overrides.map(({ task, kind, value }) =>
      [task.trim(), { [kind]: value.trim() ? JSON.parse(value) : null }])) } : {}),
    ...(newId.trim() ? { instanceId: newId.trim() } : {}), ...(version.trim() ? { version: version.trim() } : {}),
    ...(suspended ? { suspended } : {}), ...more,
  });
  const send = async (event) => {
    event.preventDefault();
    setSending(true);
    setError(null);
    try {
      const path = ofInstance(status.instanceId, "fork");
      if (preview === null) setPreview((await call("POST", path, { body: body({ dryRun: true }) })).data);
      else {
        const { data } = await call("POST", path, { body: body({}) });
        closeDialog();
        say("Forked: this is the new instance");
        go(["instances", data.id]);
      }
    } catch (failed) {
      setError(failed);
    }
    setSending(false);
  };
  return html`<form onSubmit=${send}>
    <h2 id="dialog-title">Fork</h2>
    <p class="target"><bdi>${visible(status.instanceId)}</bdi> <span class="dim">${visible(status.name)}, ${status.runtimeStatus}</span></p>
    <p>A new instance goes on from a copy of this one, which stays as it is. Calls that are open there run again.</p>
    <label>From before<select value=${place} autofocus onChange=${set("place")}>
      ${places.map(([title], index) => html`<option key=${index} value=${index}>${title}</option>`)}</select></label>
    ${overrides.map((each, index) => html`<fieldset class="override" key=${index}><legend>An open task that does not run as it did</legend>
      <label>Task number<input value=${each.task} onInput=${(event) => override(index, { task: event.target.value })} inputmode="numeric"/></label>
      <label>It<select value=${each.kind} onChange=${(event) => override(index, { kind: event.target.value })}>
        ${Object.entries(OVERRIDES).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}</select></label>
      <button type="button" aria-label="Remove this task" title="Remove this task" onClick=${() => remove(index)}>✕</button>
      <label class="wide">As JSON<textarea rows="2" value=${each.value} onInput=${(event) => override(index, { value: event.target.value })} placeholder=${each.kind === "step" ? '{"name": "charge", "result": 7}' : "null"} spellcheck=${false}></textarea></label></fieldset>`)}
    <div><button type="button" onClick=${() => { setOverrides([...overrides, NOTHING]); setPreview(null); }}>Override a task</button></div>
    <label>Id of the new instance; empty: one is made<input value=${newId} onInput=${set("newId")} maxlength="256" spellcheck=${false}/></label>
    <label>Version of the orchestrator; empty: ${status.version ? visible(status.version) : "the same"}<input value=${version} onInput=${set("version")} maxlength="256" spellcheck=${false}/></label>
    <label class="check"><input type="checkbox" checked=${suspended} onChange=${set("suspended")}/> It begins suspended: nothing runs before it is resumed</label>
    ${preview && html`<section class="preview" aria-label="Preview">
      <strong>${preview.again.length ? "Runs again:" : "Nothing runs again."}</strong>
      <ul>${preview.again.map((each) => html`<li key=${each.taskId}><bdi>${visible(each.name)}</bdi> <span class="dim">task ${each.taskId}${each.line ? `, ${visible(each.line)}` : ""}</span></li>`)}</ul>
      ${preview.recordedSteps && html`<p>Recorded steps that do not run again: ${Object.entries(preview.recordedSteps).map(([task, number]) => `${number} of task ${task}`).join(", ")}</p>`}
      ${preview.decisions?.length > 0 && html`<strong>Its code then decides:</strong>
        <ul>${preview.decisions.map((each) => html`<li key=${each}><bdi>${visible(each)}</bdi></li>`)}</ul>`}</section>`}
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class="primary" disabled=${isSending || problem !== null} title=${problem}>${preview ? "Fork" : "Preview"}</button></div></form>`;
}

function problemOf(overrides) {
  const tasks = overrides.map(({ task }) => task.trim());
  if (tasks.some((task) => !/^\d+$/.test(task))) return "Name each open task by its number.";
  if (new Set(tasks).size < tasks.length) return "A task is overridden once.";
  return overrides.map(({ value }) => jsonProblem(value)).find((found) => found !== null) ?? null;
}
