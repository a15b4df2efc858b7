// One action on all instances that the filters of the list match: first a preview of what it will touch, then the request.
import { html, useState } from "./preact-htm.js";
import { Refusal, jsonProblem } from "./actions.js";
import { call } from "./api.js";
import { Status, closeDialog, openDialog, say } from "./parts.js";
import { count, visible } from "./format.js";
import { go } from "./state.js";

const ACTIONS = {
  suspend: { title: "Suspend", fields: ["reason"], says: "Their code stops until they are resumed; nothing is lost." },
  resume: { title: "Resume", fields: ["reason"], says: "The suspended ones go on." },
  cancel: { title: "Cancel", fields: ["reason"], says: "An error is raised where their code waits, so that it can clean up; then they end." },
  terminate: { title: "Terminate", fields: ["reason"], says: "They end at once, with their open sub-orchestrations; their code undoes nothing.", isGrave: true },
  raiseEvent: { title: "Raise an event", fields: ["event", "data"], says: "Each open one gets the event." },
  restart: { title: "Restart", fields: [], says: "Each ended one is started again with its input, under a new id." },
  purge: { title: "Purge", fields: [], says: "The history, input and output of the ended ones are deleted for ever.", isGrave: true },
};

// filter: the query parameters of the list.
export function openBulk(filter) {
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null && value !== undefined && value.length !== 0));
  openDialog(() => html`<${Bulk} filter=${given}/>`);
}

function Bulk({ filter }) {
  const [action, setAction] = useState("suspend");
  const [values, setValues] = useState({ reason: "", event: "", data: "" });
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState(null);
  const [isSending, setSending] = useState(false);
  const { title, fields, says, isGrave } = ACTIONS[action];
  const has = (field) => fields.includes(field);
  const set = (name) => (event) => {
    setValues({ ...values, [name]: event.target.value });
    setPreview(null);
  };
  const problem = has("event") && !values.event.trim() ? "Name the event." : has("data") ? jsonProblem(values.data) : null;
  const body = (more) => JSON.stringify({
    action, filter, ...(has("reason") && values.reason ? { reason: values.reason } : {}),
    ...(has("event") ? { eventName: values.event, data: values.data.trim() ? JSON.parse(values.data) : null } : {}), ...more,
  });
  const send = async (event) => {
    event.preventDefault();
    setSending(true);
    setError(null);
    try {
      if (preview === null) setPreview((await call("POST", "bulk", { body: body({ dryRun: true }) })).data);
      else {
        const { data } = await call("POST", "bulk", { body: body({}) });
        closeDialog();
        say("The operation runs; this is its instance");
        go(["instances", data.id]);
      }
    } catch (failed) {
      setError(failed);
    }
    setSending(false);
  };
  const number = preview && `${count(preview.matched)}${preview.isComplete ? "" : " or more"} ${preview.matched === 1 && preview.isComplete ? "instance" : "instances"}`;
  return html`<form onSubmit=${send}>
    <h2 id="dialog-title">Act on all that match</h2>
    <p class="target">${Object.entries(filter).map(([name, value]) => html`<span key=${name}>${name} <b><bdi>${visible([value].flat().join(", "))}</bdi></b> </span>`)}</p>
    <label>Action<select value=${action} autofocus onChange=${(event) => {
      setAction(event.target.value);
      setPreview(null);
      setError(null);
    }}>${Object.entries(ACTIONS).map(([name, each]) => html`<option key=${name} value=${name}>${each.title}</option>`)}</select></label>
    <p>${says}</p>
    ${has("event") && html`<label>Name of the event<input value=${values.event} onInput=${set("event")} maxlength="256" spellcheck=${false}/></label>`}
    ${has("data") && html`<label>Data, as JSON<textarea rows="3" value=${values.data} onInput=${set("data")} placeholder="null" spellcheck=${false}></textarea></label>`}
    ${has("reason") && html`<label>Reason, shown with each instance<input value=${values.reason} onInput=${set("reason")} maxlength="1000"/></label>`}
    ${preview && html`<section class="preview" aria-label="Preview"><strong>${preview.matched === 0 ? "No instance is touched." : `It will touch ${number}${preview.matched > preview.sample.length ? ", such as" : ""}`}</strong>
      <ul>${preview.sample.map((each) => html`<li key=${each.instanceId}><${Status} status=${each.runtimeStatus} quiet/> <bdi>${visible(each.instanceId)}</bdi> <span class="dim">${visible(each.name)}</span></li>`)}</ul></section>`}
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class=${preview && isGrave ? "grave solid" : "primary"} disabled=${isSending || problem !== null || preview?.matched === 0} title=${problem}>
        ${preview === null ? "Preview" : `${title}: ${number}`}</button></div></form>`;
}
