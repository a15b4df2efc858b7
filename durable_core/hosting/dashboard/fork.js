// A fork: a new instance with a copy of this one's history up to a place. First what it would run, then the request.
import { html, useState } from "./preact-htm.js";
import { Refusal, jsonProblem } from "./actions.js";
import { call, ofInstance } from "./api.js";
import { closeDialog, openDialog, say } from "./parts.js";
import { visible } from "./format.js";
import { go } from "./state.js";

const OVERRIDES = { "": "nothing", result: "a result", failure: "a failure", input: "another input" };

export const openFork = (status, timeline) => openDialog(() => html`<${Fork} status=${status} timeline=${timeline}/>`);

function Fork({ status, timeline }) {
  const tasks = timeline.rows.filter((row) => row.taskId !== undefined && row.endedTime);
  const hasFailed = status.runtimeStatus === "Failed";
  const [values, setValues] = useState({ until: hasFailed ? "failure" : tasks.length ? `${tasks[0].taskId}` : "", task: "", kind: "",
    value: "", newId: "" });
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState(null);
  const [isSending, setSending] = useState(false);
  const set = (name) => (event) => {
    setValues({ ...values, [name]: event.target.value });
    setPreview(null);
  };
  const { until, task, kind, value, newId } = values;
  const problem = !until ? "Nothing of it has ended: there is no place to fork from."
    : kind && !/^\d+$/.test(task.trim()) ? "Name the open task by its number." : kind ? jsonProblem(value) : null;
  const body = (more) => JSON.stringify({
    until: until === "failure" ? { failure: true } : { task: Number(until) },
    ...(kind ? { overrides: { [task.trim()]: { [kind]: value.trim() ? JSON.parse(value) : null } } } : {}),
    ...(newId.trim() ? { instanceId: newId.trim() } : {}), ...more,
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
    <label>From before<select value=${until} autofocus onChange=${set("until")}>
      ${hasFailed && html`<option value="failure">the failure that ended it</option>`}
      ${tasks.map((row) => html`<option key=${row.taskId} value=${row.taskId}>the end of ${visible(row.name || row.kind)} #${row.taskId}</option>`)}</select></label>
    <label>With<select value=${kind} onChange=${set("kind")}>${Object.entries(OVERRIDES).map(([name, text]) => html`<option key=${name} value=${name}>${text} in place of what it was</option>`)}</select></label>
    ${kind && html`<label>Of the open task number<input value=${task} onInput=${set("task")} inputmode="numeric"/></label>
      <label>As JSON<textarea rows="3" value=${value} onInput=${set("value")} placeholder="null" spellcheck=${false}></textarea></label>`}
    <label>Id of the new instance; empty: one is made<input value=${newId} onInput=${set("newId")} maxlength="256" spellcheck=${false}/></label>
    ${preview && html`<section class="preview" aria-label="Preview">
      <strong>${preview.again.length ? "Runs again:" : "Nothing runs again."}</strong>
      <ul>${preview.again.map((each) => html`<li key=${each.taskId}><bdi>${visible(each.name)}</bdi> <span class="dim">task ${each.taskId}${each.line ? `, ${visible(each.line)}` : ""}</span></li>`)}</ul>
      ${preview.decisions?.length > 0 && html`<strong>Its code then decides:</strong>
        <ul>${preview.decisions.map((each) => html`<li key=${each}><bdi>${visible(each)}</bdi></li>`)}</ul>`}</section>`}
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class="primary" disabled=${isSending || problem !== null} title=${problem}>${preview ? "Fork" : "Preview"}</button></div></form>`;
}
