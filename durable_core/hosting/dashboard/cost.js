// What instances have cost: by orchestrator on a page of its own, and of one instance beside its facts.
import { html, useState } from "./preact-htm.js";
import { get, useFresh } from "./api.js";
import { Empty, Loaded } from "./parts.js";
import { count, money, plural, visible } from "./format.js";
import { address, go, href, now } from "./state.js";

const SINCE = { "1d": "last day", "7d": "last 7 days", "30d": "last 30 days", all: "any time" };
const DAY = 86_400_000;

export function CostPage({ query }) {
  const since = query.get("since") ?? "7d";
  const days = /^(\d+)d$/.exec(since);
  const [text, setText] = useState(query.get("name") ?? "");
  const name = query.get("name");
  const found = useFresh(async (signal) => (await get("prices", {
    query: { name, createdTimeFrom: days ? new Date(now() - days[1] * DAY).toISOString() : null }, signal,
  })).data, ["prices", since, name], 0); // it may read thousands of rows: once, and again when it is asked for
  const change = (changes) => go(["cost"], { since, name, ...changes }, { replace: true });
  return html`<h1>Cost</h1>
    <form class="filters" onSubmit=${(event) => { event.preventDefault(); change({ name: text.trim() }); }}>
      <select aria-label="Created" value=${since} onChange=${(event) => change({ since: event.target.value })}>
        ${Object.entries(SINCE).map(([value, title]) => html`<option key=${value} value=${value}>created ${title}</option>`)}</select>
      <input type="search" aria-label="Orchestrator" placeholder="orchestrator" value=${text} data-filter
        onInput=${(event) => setText(event.target.value)} onChange=${() => change({ name: text.trim() })}/>
      <button type="button" onClick=${found.reload}>Read again</button></form>
    <${Loaded} from=${found}>${(list) => html`<${Prices} list=${list}/>`}<//>`;
}

function Prices({ list }) {
  const { orchestrators, prices, isComplete } = list;
  if (orchestrators.length === 0) return html`<${Empty} title="No instance matches">
    <p>What an orchestration has cost is shown here when it has ended.</p><//>`;
  const currency = prices.currency;
  const most = Math.max(...orchestrators.map((each) => each.total || each.operations.total));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Cost by orchestrator"><table class="rows">
    <thead><tr><th>Orchestrator</th><th class="num">Total</th><th class="num">Mean</th>
      <th class="num" title="95 % of the instances cost no more">p95</th><th class="num">Operations</th><th class="num">Ended</th><th class="num">Open</th><th><span class="hidden">Share</span></th></tr></thead>
    <tbody>${orchestrators.map((each) => html`<tr key=${each.name} data-row>
      <td><a href=${href(["instances"], { name: each.name })}>${visible(each.name)}</a></td>
      <td class="num">${each.instances > 0 && money(each.total, currency)}</td>
      <td class="num">${money(each.mean, currency)}</td><td class="num">${money(each.p95, currency)}</td>
      <td class="num">${each.instances > 0 && count(each.operations.total)}</td>
      <td class="num">${count(each.instances)}${each.notCounted > 0 && html` <span class="dim" title="begun by a version that did not count">+ ${count(each.notCounted)} not counted</span>`}</td>
      <td class="num">${each.open > 0 && count(each.open)}</td>
      <td class="share"><svg viewBox="0 0 100 8" width="100" height="8" aria-hidden="true"><rect width=${most ? (each.total || each.operations.total) / most * 100 : 0} height="8" rx="2"></rect></svg></td></tr>`)}</tbody></table></div>
    <p class="dim note-below">${note(prices, together(orchestrators))} Ended instances are counted; sub-orchestrations are instances of their own.
      ${!isComplete && " Only the newest 10,000 instances were looked at."}</p>`;
}

// What all of them would cost in Azure; undefined if they are there.
const together = (orchestrators) => {
  const priced = orchestrators.map((each) => each.inAzure).filter((each) => each !== undefined);
  return priced.length === 0 ? undefined : { ...priced[0], amount: priced.reduce((sum, each) => sum + each.amount, 0) };
};

const note = ({ currency, date, tableReads, tableWrites, queueOperations }, inAzure) => (date === undefined
  ? `The embedded store bills nothing${inAzure ? `; in Azure these operations would cost ${money(inAzure.amount, inAzure.currency)}, at the prices of ${inAzure.date}` : ""}.`
  : `Storage operations at prices of ${date}: for 10,000 table reads ${currency} ${tableReads}, writes ${tableWrites}, operations on messages ${queueOperations}.`);

// The price of one instance, in few words. operations: of its status; price: of its own route, if that could be read.
export function Cost({ operations, price, isOver }) {
  if (!operations) return null;
  const { tableReads, tableWrites, queueOperations, total } = operations;
  const parts = `${plural(tableReads, "table read")}, ${plural(tableWrites, "table write")}, ${plural(queueOperations, "operation")} on messages.${price ? ` ${note(price.prices, price.inAzure)}` : ""}`;
  const amount = price?.amount ? `${money(price.amount, price.prices.currency)}${isOver ? "" : " so far"}, ` : "";
  return html`<span title=${parts}>cost ${amount}${plural(total, "storage operation")}</span>`;
}
