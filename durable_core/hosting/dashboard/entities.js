// The entities of the hub, and one entity: its state, who has locked it, what waits in its mailbox.
import { html, useState } from "./preact-htm.js";
import { Refusal, jsonProblem } from "./actions.js";
import { call, get, useFresh } from "./api.js";
import { Brief, Empty, Id, InstanceLink, Loaded, Time, Value, closeDialog, openDialog, say } from "./parts.js";
import { plural, visible } from "./format.js";
import { href } from "./state.js";

const PAGE = 100;
const EVERY = 10_000;

export function EntitiesPage({ query }) {
  const entityKey = query.get("key"), name = query.get("name") ?? "";
  return entityKey === null ? html`<${EntityList} name=${name} after=${query.get("after")}/>`
    : html`<${EntityView} name=${name} entityKey=${entityKey}/>`;
}

function EntityList({ name, after }) {
  const found = useFresh(async (signal) => {
    const { data, headers } = await get(name ? `entities/${encodeURIComponent(name)}` : "entities", {
      query: { top: PAGE, fetchState: true }, headers: after ? { "x-ms-continuation-token": after } : {}, signal,
    });
    return { entities: data, next: headers.get("x-ms-continuation-token") };
  }, ["entities", name, after], after ? 0 : EVERY);
  return html`<h1>Entities${name && html` <span class="dim">${visible(name)}</span>`}</h1>
    <${Loaded} from=${found}>${({ entities, next }) => entities.length === 0 ? html`<${Empty} title=${after ? "No more entities" : "No entities"}>
      <p>An entity is made when the first operation is sent to it: <code>ctx.signal_entity(...)</code>.</p><//>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Entities"><table class="rows">
          <thead><tr><th>Name</th><th>Key</th><th>Changed</th><th>Locked by</th><th>State</th></tr></thead>
          <tbody>${entities.map((each) => html`<${EntityRow} entity=${each} key=${`${each.entityId.name}@${each.entityId.key}`}/>`)}</tbody></table></div>
        <nav class="pages" aria-label="Pages of the entities">${after && html`<a href=${href(["entities"], name ? { name } : {})}>← First ones</a>`}
          <span class="dim">${plural(entities.length, "entity", "entities")}${next ? ", and more" : ""}</span>
          ${next && html`<a href=${href(["entities"], { ...(name ? { name } : {}), after: next })}>More →</a>`}</nav>`}<//>`;
}

function EntityRow({ entity }) {
  const { name, key } = entity.entityId;
  return html`<tr data-row>
    <td><a href=${href(["entities"], { name })}>${visible(name)}</a></td>
    <td><a href=${href(["entities"], { name, key })}><bdi>${visible(key)}</bdi></a></td>
    <td><${Time} at=${entity.lastOperationTime}/></td>
    <td>${entity.lockedBy && html`<${InstanceLink} id=${entity.lockedBy.instanceId}/>`}</td>
    <td>${entity.stuckReason ? html`<span class="warn">${visible(entity.stuckReason)}</span>`
      : entity.exists ? html`<${Brief} value=${entity.state} length=${80}/>` : html`<span class="dim">none</span>`}</td></tr>`;
}

function EntityView({ name, entityKey }) {
  const path = `entities/${encodeURIComponent(name)}/${encodeURIComponent(entityKey)}`;
  const found = useFresh(async (signal) => (await get(path, { query: { showDetails: true }, signal })).data, [path], EVERY);
  return html`<p><a href=${href(["entities"])}>← All entities</a></p><h1><bdi>${visible(name)}</bdi> <${Id} id=${entityKey} what="key"/></h1>
    <${Loaded} from=${found}>${(entity) => html`<dl class="facts">
        <div><dt>State</dt><dd>${entity.exists ? html`<${Value} value=${entity.state} name="state"/>` : html`<span class="dim">none</span>`}</dd></div>
        ${entity.lastOperationTime && html`<div><dt>Changed</dt><dd><${Time} at=${entity.lastOperationTime}/></dd></div>`}
        <div><dt>Locked by</dt><dd data-lock>${entity.lockedBy
          ? html`<${InstanceLink} id=${entity.lockedBy.instanceId}/> since <${Time} at=${entity.lockedBy.since}/>`
          : html`<span class="dim">nobody</span>`}</dd></div>
        ${entity.stuckReason && html`<div><dt>Stuck</dt><dd class="warn">${visible(entity.stuckReason)}</dd></div>`}
        <div><dt>Mailbox</dt><dd data-queue>${plural(entity.queueLength, "parcel")}</dd></div>
        <div><dt>Scheduled</dt><dd>${entity.scheduled.length ? entity.scheduled.map((due) => html`<div key=${due}><${Time} at=${due}/></div>`)
          : html`<span class="dim">nothing</span>`}</dd></div></dl>
      ${entity.waiting.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Mailbox"><table class="rows">
        <thead><tr><th>From</th><th>Since</th><th>Why it waits</th></tr></thead>
        <tbody>${entity.waiting.map((each) => html`<tr key=${each.sender + each.number + each.since}>
          <td><bdi>${visible(each.sender)}</bdi></td><td><${Time} at=${each.since}/></td><td>${each.why || "it is next"}</td></tr>`)}</tbody></table></div>`}
      <div class="actions"><button type="button" onClick=${() => openDialog(() => html`<${SignalForm} path=${path} reload=${found.reload}/>`)}>Signal</button>
        <button type="button" class="grave" onClick=${() => openDialog(() => html`<${DeleteForm} path=${path} what=${`${name} ${entityKey}`} reload=${found.reload}/>`)}>Delete</button></div>`}<//>`;
}

function SignalForm({ path, reload }) {
  const [operation, setOperation] = useState(""), [input, setInput] = useState(""), [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    try {
      await call("POST", path, { query: { op: operation }, body: input.trim() || "null" });
      closeDialog();
      say("Sent");
      reload();
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<form onSubmit=${send}><h2 id="dialog-title">Signal</h2>
    <label for="operation">Operation</label>
    <input id="operation" autofocus value=${operation} onInput=${(event) => setOperation(event.target.value)}/>
    <label for="input">Input, as JSON</label>
    <textarea id="input" value=${input} onInput=${(event) => setInput(event.target.value)}></textarea>
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class="primary" disabled=${!operation.trim() || jsonProblem(input) !== null}
        title=${jsonProblem(input)}>Send</button></div></form>`;
}

function DeleteForm({ path, what, reload }) {
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    try {
      await call("DELETE", path);
      closeDialog();
      say("Delete requested");
      reload();
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<form onSubmit=${send}><h2 id="dialog-title">Delete</h2><p class="target"><bdi>${visible(what)}</bdi></p>
    <p>Its state is deleted, after the operations that were sent to it before. Its code does not run.</p>
    ${error && html`<${Refusal} error=${error}/>`}
    <div class="buttons"><button type="button" onClick=${closeDialog}>Do nothing</button>
      <button type="submit" class="grave solid" autofocus>Delete</button></div></form>`;
}
