// What can be done to an instance. Every action says first what it will touch, and is sent when that is confirmed.
import { html, useEffect, useState } from "./preact-htm.js";
import { call, ofInstance } from "./api.js";
import { Shape, Skeleton, closeDialog, openDialog, say } from "./parts.js";
import { duration, plural, visible } from "./format.js";
import { openFork } from "./fork.js";
import { hasEnded } from "./list.js";
import { go } from "./state.js";

const openChildren = (timeline) => timeline.rows.filter((row) => row.kind === "child" && !row.endedTime).length;
const running = (timeline) => timeline.rows.filter((row) => row.kind === "activity" && !row.endedTime).length;

function touched(timeline, verb) {
  const children = openChildren(timeline);
  return children ? ` So ${children === 1 ? "does" : "do"} its ${plural(children, "open sub-orchestration")}: ${children === 1 ? "it is" : "they are"} ${verb} too.` : "";
}

// isOffered: for which instances. says: what it will touch. send: the request.
const ACTIONS = [
  {
    name: "raise", title: "Raise event", isOffered: (status) => !hasEnded(status.runtimeStatus), button: "Raise event",
    says: () => "The event is kept in the instance's inbox until its code waits for that name.",
    fields: ["event", "data"], done: "The event is in the inbox",
    send: (id, { event, data }) => call("POST", ofInstance(id, `raiseEvent/${encodeURIComponent(event)}`), { body: data.trim() || "null" }),
  },
  {
    name: "suspend", title: "Suspend", isOffered: (status) => ["Running", "Pending"].includes(status.runtimeStatus), button: "Suspend",
    says: (_, timeline) => `Its code stops until it is resumed. Nothing is lost: ${running(timeline) ? `${plural(running(timeline), "activity", "activities")} that run now finish, and ` : ""}results and events are kept.`,
    fields: ["reason"], done: "Asked to suspend",
  },
  {
    name: "resume", title: "Resume", isOffered: (status) => status.runtimeStatus === "Suspended", button: "Resume",
    says: () => "Its code goes on, and receives what arrived meanwhile.", fields: ["reason"], done: "Asked to resume",
  },
  {
    name: "cancel", title: "Cancel", isOffered: (status) => !hasEnded(status.runtimeStatus), button: "Cancel the instance",
    says: (_, timeline) => `An error is raised where its code waits, so that the code can clean up; then it ends.${touched(timeline, "cancelled")}`,
    fields: ["reason"], done: "Asked to cancel",
  },
  {
    name: "terminate", title: "Terminate", isOffered: (status) => !hasEnded(status.runtimeStatus), button: "Terminate", isGrave: true,
    says: (_, timeline) => `It ends at once: its code does not run again, and undoes nothing.${touched(timeline, "terminated")}`,
    fields: ["reason"], done: "Asked to terminate",
  },
  {
    name: "rewind", title: "Rewind", isOffered: (status) => ["Failed", "Terminated", "Canceled"].includes(status.runtimeStatus), button: "Rewind",
    says: () => "It goes on from before its end: what had failed is done again, what had succeeded is kept.",
    fields: ["reason"], done: "Rewound",
    preview: (id, signal) => call("POST", ofInstance(id, "rewind"), { query: { dryRun: true }, signal }),
    shows: (preview) => html`<${Rewound} preview=${preview}/>`,
    send: (id, { reason, force }) => call("POST", ofInstance(id, "rewind"), { query: { reason, force: force || null } }),
  },
  {
    name: "restart", title: "Restart", isOffered: () => true, button: "Start again",
    says: (status) => `Its orchestrator starts again with the same input, as a new instance. ${hasEnded(status.runtimeStatus) ? "With its own id, the new one takes its place and its history is gone." : "This one goes on."}`,
    fields: ["newId"], done: "Started again",
    send: (id, { newId }) => call("POST", ofInstance(id, "restart"), { body: JSON.stringify(newId.trim() ? { instanceId: newId.trim() } : {}) }),
    then: ({ data }) => go(["instances", data.id]),
  },
  {
    name: "purge", title: "Purge", isOffered: (status) => hasEnded(status.runtimeStatus), button: "Delete for ever", isGrave: true,
    says: () => "Its history, input and output are deleted. This cannot be undone.",
    fields: ["recursive"], done: "Purged",
    send: (id, { recursive }) => call("DELETE", ofInstance(id), { query: { recursive: recursive || null } }),
  },
];

// What a rewind would do.
function Rewound({ preview }) {
  const list = (calls) => html`<ul>${calls.map(({ taskId, name, line }) => html`<li key=${taskId}><bdi>${visible(name)}</bdi>
    <span class="dim"> task ${taskId}${line ? `, ${visible(line)}` : ""}</span></li>`)}</ul>`;
  return html`${preview.undone.length > 0 && html`<strong>Forgotten:</strong>${list(preview.undone)}`}
    ${preview.again.length > 0 && html`<strong>Run again:</strong>${list(preview.again)}`}
    ${preview.items?.length > 0 && html`<p>Failed items of maps that are called again: ${preview.items.length}.</p>`}
    ${preview.timersMoveBy > 0 && html`<p>Timers move by ${duration(preview.timersMoveBy * 1000)}.</p>`}`;
}

export function ActionBar({ status, timeline, reload }) {
  const offered = ACTIONS.filter((action) => action.isOffered(status));
  const open = (action) => openDialog(() => html`<${Confirmation} action=${action} status=${status} timeline=${timeline} reload=${reload}/>`);
  return html`<div class="actions" role="group" aria-label="Actions">${offered.map((action) => html`<button type="button" key=${action.name}
    class=${action.isGrave ? "grave" : ""} onClick=${() => open(action)}>${action.title}</button>`)}
    <button type="button" onClick=${() => openFork(status, timeline)}>Fork</button></div>`;
}

function Confirmation({ action, status, timeline, reload }) {
  const waited = (status.waits ?? []).filter(({ kind }) => kind === "event").map(({ name }) => name);
  const [values, setValues] = useState({ event: waited.length === 1 ? waited[0] : "", data: "", reason: "", newId: "",
    recursive: false, force: false });
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState(null);
  const [isSending, setSending] = useState(false);
  const id = status.instanceId;
  const has = (field) => action.fields.includes(field);
  useEffect(() => {
    if (!action.preview) return undefined;
    const asking = new AbortController();
    action.preview(id, asking.signal).then(({ data }) => setPreview(data), (failed) => { if (!asking.signal.aborted) setError(failed); });
    return () => asking.abort();
  }, []);
  const problems = preview?.problems ?? [];
  const set = (name) => (event) => setValues({ ...values, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const problem = action.preview && !preview ? "What it would do is not known yet."
    : problems.length > 0 && !values.force ? "Something would be left as it is: read it first."
    : has("event") && !values.event.trim() ? "Name the event." : has("data") ? jsonProblem(values.data) : null;
  const confirm = async (event) => {
    event.preventDefault();
    setSending(true);
    setError(null);
    try {
      const answer = await (action.send?.(id, values) ?? call("POST", ofInstance(id, action.name), { query: { reason: values.reason } }));
      closeDialog();
      say(action.done);
      if (action.then) action.then(answer);
      else reload();
    } catch (failed) {
      setError(failed);
      setSending(false);
    }
  };
  return html`<form onSubmit=${confirm}>
    <h2 id="dialog-title">${action.title}</h2>
    <p class="target"><bdi>${visible(id)}</bdi> <span class="dim">${visible(status.name)}, ${status.runtimeStatus}</span></p>
    <p>${action.says(status, timeline)}</p>
    ${action.preview && !error && html`<section class="preview" aria-label="Preview">${preview ? action.shows(preview) : html`<${Skeleton} rows=${2}/>`}</section>`}
    ${problems.length > 0 && html`<div class="refusal"><${Shape} kind="Stuck"/><div><strong>It is not undone:</strong>
      <ul>${problems.map((each) => html`<li key=${each}><bdi>${visible(each)}</bdi></li>`)}</ul>
      <label class="check"><input type="checkbox" checked=${values.force} onChange=${set("force")}/> Go on all the same</label></div></div>`}
    ${has("event") && html`<label>Name of the event<input value=${values.event} onInput=${set("event")} autofocus maxlength="256" spellcheck=${false} list="waited"/></label>
      <datalist id="waited">${waited.map((name) => html`<option key=${name} value=${name}></option>`)}</datalist>`}
    ${has("data") && html`<label>Data, as JSON<textarea rows="4" value=${values.data} onInput=${set("data")} placeholder="null" spellcheck=${false}></textarea></label>`}
    ${has("newId") && html`<label>Id of the new instance; empty: one is made<input value=${values.newId} onInput=${set("newId")} autofocus maxlength="256" spellcheck=${false}/></label>`}
    ${has("reason") && html`<label>Reason, shown with the instance<input value=${values.reason} onInput=${set("reason")} autofocus maxlength="1000"/></label>`}
    ${has("recursive") && html`<label class="check"><input type="checkbox" checked=${values.recursive} onChange=${set("recursive")}/> Its ended sub-orchestrations, too</label>`}
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class=${action.isGrave ? "grave solid" : "primary"} disabled=${isSending || problem !== null} title=${problem}>${action.button}</button></div></form>`;
}

export function jsonProblem(text) {
  if (!text.trim()) return null;
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `The data are not JSON: ${error.message}`;
  }
}

export function Refusal({ error }) {
  const isKey = error.status === 401 || error.status === 403;
  return html`<div class="refusal" role="alert"><${Shape} kind="Stuck"/><div>
    ${isKey ? html`<strong>This key may look, not change.</strong> Nothing was done. Lock the page and enter a key that may.`
      : html`<strong>Nothing was done.</strong> <bdi>${visible(error.message)}</bdi>`}
    ${error.problems.length > 0 && html`<ul>${error.problems.map((each) => html`<li key=${each}><bdi>${visible(each)}</bdi></li>`)}</ul>`}
  </div></div>`;
}
