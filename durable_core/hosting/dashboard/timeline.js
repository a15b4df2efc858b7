// The picture of an instance: a row per call. Pale is the time in a queue, full the time in which it ran, hatched the
// time between two attempts; a thin line waits.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact-htm.js";
import { Shape } from "./parts.js";
import { absolute, at, clock, count, duration, visible } from "./format.js";
import { makeScale } from "./scale.js";
import { now, useStore, zone } from "./state.js";

const ROW = 26;
const MIDDLE = ROW / 2;
const BAR = 10;
const AHEAD = 12; // rows that are drawn beyond the visible ones
const HIGHEST = 560;
const WAITS = ["timer", "event", "lock"];
const MOMENTS = ["detached", "request", "signal"];
const GLYPHS = {
  activity: "M2 4h12v8h-12z", step: "M5 2l7 6l-7 6z", timer: "M8 2a6 6 0 1 1 0 12a6 6 0 1 1 0-12zM8 4.5v4l2.5 1.5",
  event: "M8 1.5l6.5 6.5l-6.5 6.5l-6.5-6.5z", child: "M2 3h8v6h-8zM6 9v4h8v-6h-4", detached: "M3 13l10-10M6 3h7v7",
  request: "M2 8h12M10 4l4 4l-4 4", signal: "M2 8h12M10 4l4 4l-4 4",
  update: "M3 8a5 5 0 1 1 1.5 3.5M3 12v-3.5h3.5",
  entity: "M3 4.5c0-3 10-3 10 0v7c0 3-10 3-10 0zM3 4.5c0 3 10 3 10 0", lock: "M4 7h8v7h-8zM5.5 7v-3a2.5 2.5 0 0 1 5 0v3",
};

const isOpen = (row) => !row.endedTime;

// What a row holds, as times in ms.
function moments(row, till) {
  const scheduled = at(row.scheduledTime), ended = at(row.endedTime);
  const attempts = (row.attempts ?? []).map((each) => ({ ...each, from: at(each.startedTime) }))
    .filter((each) => each.from !== undefined).map((each) => ({ ...each, to: each.from + (each.ms ?? 0) }));
  const started = at(row.startedTime) ?? attempts[0]?.from;
  return { scheduled, started, ended, attempts, till: ended ?? till };
}

// When something happens in a row; a wait, a sleep and a back-off are not among it.
function busyTimes(row, till) {
  const { scheduled, started, ended, attempts, till: end } = moments(row, till);
  if (WAITS.includes(row.kind)) return [[scheduled, scheduled], ...(ended ? [[ended, ended]] : [])];
  if (MOMENTS.includes(row.kind)) return [[scheduled, scheduled]];
  if (attempts.length === 0) return [[scheduled, end]];
  const times = attempts.map((each) => [each.from, each.to]);
  times.push([scheduled, attempts[0].from], ended ? [Math.min(ended, started ?? ended), ended] : [end, end]);
  return times.filter(([a, b]) => b >= a);
}

export function Timeline({ timeline, loadChild }) {
  const [hideIdle, setHideIdle] = useState(true);
  const [zoom, setZoom] = useState(null);
  const [chosen, setChosen] = useState(null);
  const [folds, setFolds] = useState({});
  const place = useRef(null);
  const width = useWidth(place);
  const clockTime = useRunningTime(!timeline.endedTime);
  const shownZone = useStore(zone);
  const labelWidth = width < 560 ? 132 : width < 900 ? 210 : 280;
  const chart = Math.max(60, width - labelWidth - 64);

  // Of a generation after a continue-as-new, the picture begins where the one before has ended.
  const from = at(timeline.generations.at(-1)?.endedTime ?? timeline.createdTime);
  const rows = useMemo(() => unfolded(timeline.rows, folds, 0), [timeline.rows, folds]);
  const last = rows.reduce((latest, { row }) => Math.max(latest, at(row.endedTime) ?? at(row.scheduledTime) ?? 0), from);
  const to = timeline.endedTime ? Math.max(at(timeline.endedTime), last) : Math.max(clockTime, last, from + 1);
  const scale = useMemo(() => {
    const busy = rows.flatMap(({ row }) => busyTimes(row, to));
    const ends = [[from, from], [to, to]];
    return makeScale({ from: zoom?.[0] ?? from, to: zoom?.[1] ?? to, busy: [...busy, ...ends], width: chart, hideIdle });
  }, [rows, from, to, zoom, chart, hideIdle]);
  const canHide = useMemo(() => makeScale({ from, to, busy: [...rows.flatMap(({ row }) => busyTimes(row, to)), [from, from],
    [to, to]], width: chart, hideIdle: true }).cuts.length > 0, [rows, from, to, chart]);

  useEffect(() => {
    const escape = (event) => { if (event.key === "Escape") setZoom(null); };
    document.addEventListener("keydown", escape);
    return () => document.removeEventListener("keydown", escape);
  }, []);

  const fold = async (path, row) => {
    const open = !folds[path]?.open;
    setFolds((all) => ({ ...all, [path]: { ...all[path], open } }));
    if (open && !folds[path]?.rows) {
      const child = await loadChild(row.instanceId);
      setFolds((all) => ({ ...all, [path]: { ...all[path], rows: child } }));
    }
  };
  const zoomBy = (factor) => {
    const [a, b] = zoom ?? [from, to];
    const middle = (a + b) / 2, half = Math.max(0.5, ((b - a) / 2) * factor);
    const next = [Math.max(from, middle - half), Math.min(to, middle + half)];
    setZoom(next[0] <= from && next[1] >= to ? null : next);
  };

  return html`<section class="timeline" ref=${place} aria-label="Timeline">
    <div class="bar">
      <h2>Timeline</h2>
      <span class="legend" aria-hidden="true"><i class="k-queue"></i>queue <i class="k-run"></i>run
        <i class="k-backoff"></i>back-off <i class="k-wait"></i>wait</span>
      <span class="grow"></span>
      ${(canHide || !hideIdle) && html`<label class="switch"><input type="checkbox" checked=${hideIdle}
        onChange=${() => setHideIdle(!hideIdle)}/> hide idle time</label>`}
      <span class="zoom"><button type="button" aria-label="Zoom in" onClick=${() => zoomBy(0.5)}>+</button>
        <button type="button" aria-label="Zoom out" disabled=${!zoom} onClick=${() => zoomBy(2)}>−</button>
        <button type="button" disabled=${!zoom} onClick=${() => setZoom(null)}>Reset</button></span>
    </div>
    ${width > 0 && html`<${Chart} rows=${rows} scale=${scale} origin=${from} till=${to} labelWidth=${labelWidth}
      chart=${chart} chosen=${chosen} onChoose=${setChosen} onZoom=${setZoom} folds=${folds}
      onFold=${loadChild ? fold : null} shownZone=${shownZone}/>`}
    ${rows.length === 0 && html`<p class="dim pad">Its code has called nothing yet.</p>`}
    ${chosen && html`<${Details} entry=${rows.find(({ path }) => path === chosen)} till=${to} origin=${from}
      onClose=${() => setChosen(null)}/>`}
  </section>`;
}

function unfolded(rows, folds, depth, above = "") {
  return rows.flatMap((row, index) => {
    const path = `${above}/${row.taskId ?? "e" + index}`;
    const fold = folds[path];
    const below = fold?.open ? unfolded(fold.rows ?? [], folds, depth + 1, path) : [];
    return [{ row, path, depth }, ...below];
  });
}

function useWidth(place) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

// The time now, ten times in the first minute and then once a second: bars that are under way grow.
function useRunningTime(isRunning) {
  const [time, setTime] = useState(now());
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(() => { if (!document.hidden) setTime(now()); }, 500);
    return () => clearInterval(timer);
  }, [isRunning]);
  return time;
}

function Chart({ rows, scale, origin, till, labelWidth, chart, chosen, onChoose, onZoom, folds, onFold, shownZone }) {
  const scroller = useRef(null);
  const [top, setTop] = useState(0);
  const [pointer, setPointer] = useState(null); // {x, start}: start is set while an area is dragged
  const ticks = useMemo(() => scale.ticks(origin, 84), [scale, origin]);
  const first = Math.max(0, Math.floor(top / ROW) - AHEAD);
  const visibleRows = rows.slice(first, Math.ceil((top + HIGHEST) / ROW) + AHEAD);

  const within = (event) => {
    const left = scroller.current.getBoundingClientRect().left + labelWidth;
    return Math.min(chart, Math.max(0, event.clientX - left));
  };
  const isOverBars = (event) => event.clientX > scroller.current.getBoundingClientRect().left + labelWidth;
  const down = (event) => {
    if (event.button !== 0 || event.pointerType === "touch" || !isOverBars(event)) return;
    scroller.current.setPointerCapture(event.pointerId);
    setPointer({ x: within(event), start: within(event) });
  };
  const move = (event) => setPointer((old) => (isOverBars(event) || old?.start !== undefined
    ? { x: within(event), start: old?.start } : null));
  const up = (event) => {
    if (pointer?.start === undefined) return;
    const [a, b] = [pointer.start, within(event)].sort((one, other) => one - other);
    setPointer({ x: b });
    if (b - a > 6) onZoom([scale.time(a), scale.time(b)]);
    else {
      const at = Math.floor((event.clientY - scroller.current.getBoundingClientRect().top + scroller.current.scrollTop) / ROW);
      if (rows[at]) onChoose(rows[at].path === chosen ? null : rows[at].path);
    }
  };
  const span = pointer?.start === undefined ? null : [Math.min(pointer.start, pointer.x), Math.abs(pointer.x - pointer.start)];
  return html`<div class="chart">
    <svg class="axis" width=${labelWidth + chart + 64} height="26" aria-hidden="true">
      <g transform="translate(${labelWidth} 0)">
        ${ticks.map(({ x, offset }) => html`<g key=${offset} transform="translate(${x} 0)"><line y1="20" y2="26"></line>
          <text y="14" text-anchor=${x < 20 ? "start" : "middle"}>${offset === 0 ? "0" : "+" + duration(offset)}</text></g>`)}
        ${scale.cuts.map((cut) => html`<g key=${cut.from} class="cut" transform="translate(${cut.x0} 0)">
          <title>${duration(cut.to - cut.from)} without activity, from ${absolute(cut.from, shownZone)}</title>
          <text x=${(cut.x1 - cut.x0) / 2} y="11" text-anchor="middle">${duration(cut.to - cut.from)}</text>
          <path d=${zigzag(cut.x1 - cut.x0)}></path></g>`)}
      </g></svg>
    <div class="lines" ref=${scroller} onScroll=${(event) => setTop(event.currentTarget.scrollTop)} onPointerDown=${down}
      onPointerMove=${move} onPointerUp=${up} onPointerLeave=${() => setPointer((old) => (old?.start === undefined ? null : old))}>
      <div class="all" style=${{ height: `${rows.length * ROW}px` }}>
        ${visibleRows.map((entry, index) => html`<${Line} key=${entry.path} entry=${entry} index=${first + index} scale=${scale}
          till=${till} ticks=${ticks} labelWidth=${labelWidth} chart=${chart} isChosen=${entry.path === chosen}
          onChoose=${onChoose} fold=${folds[entry.path]} onFold=${onFold}/>`)}
      </div></div>
    ${pointer && html`<div class="cross" style=${{ left: `${labelWidth + pointer.x}px` }}>
      <span class=${pointer.x > chart - 120 ? "left" : ""}>${clock(scale.time(pointer.x), shownZone, { millis: true })}</span></div>`}
    ${span && html`<div class="selection" style=${{ left: `${labelWidth + span[0]}px`, width: `${span[1]}px` }}></div>`}
  </div>`;
}

const zigzag = (width) => `M${width / 2 - 9} 21l3-4l3 4l3-4l3 4l3-4l3 4`;

const titleOf = (row) => row.name || (row.dueTime ? `${row.kind} ${duration(at(row.dueTime) - at(row.scheduledTime))}` : row.kind);

function Line({ entry, index, scale, till, ticks, labelWidth, chart, isChosen, onChoose, fold, onFold }) {
  const { row, path, depth } = entry;
  const { scheduled, ended } = moments(row, till);
  const took = (ended ?? till) - scheduled;
  const label = `${row.kind} ${visible(row.name)}${row.taskId === undefined ? "" : `, task ${row.taskId}`}: ${row.status}`;
  const canFold = row.kind === "child" && onFold && row.instanceId;
  return html`<div class="line ${isChosen ? "chosen" : ""} ${row.status}" style=${{ top: `${index * ROW}px` }}>
    <div class="label" style=${{ width: `${labelWidth}px`, paddingLeft: `${8 + depth * 14}px` }}>
      ${canFold && html`<button type="button" class="twist" aria-expanded=${Boolean(fold?.open)} aria-label="Calls of this child"
        onClick=${() => onFold(path, row)}>${fold?.open ? "▾" : "▸"}</button>`}
      <button type="button" class="pick" aria-pressed=${isChosen} aria-label=${label} title=${visible(row.name)}
        onClick=${() => onChoose(isChosen ? null : path)}>
        <svg class="glyph" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true"><path d=${GLYPHS[row.kind]}></path></svg>
        <span class="text"><bdi>${visible(titleOf(row))}</bdi></span>
        ${row.taskId !== undefined && html`<span class="task">#${row.taskId}</span>`}</button></div>
    <svg class="bars" width=${chart + 64} height=${ROW} aria-hidden="true">
      ${ticks.map(({ x, offset }) => html`<line class="grid" key=${offset} x1=${x} x2=${x} y1="0" y2=${ROW}></line>`)}
      ${scale.cuts.map((cut) => html`<rect class="gap" key=${cut.from} x=${cut.x0} width=${cut.x1 - cut.x0} y="0" height=${ROW}></rect>`)}
      <${Bars} row=${row} scale=${scale} till=${till}/>
      <text class="took" x=${Math.min(chart, scale.x(ended ?? till)) + 8} y=${MIDDLE + 4}>${took > 0 || isOpen(row) ? duration(took) : ""}</text>
    </svg></div>`;
}

// The failure of the last attempt is that of its row.
const hasFailed = (row, attempt, isLast) => attempt.errorType !== undefined || (isLast && row.status === "Failed");

function Bars({ row, scale, till }) {
  const { scheduled, started, ended, attempts, till: end } = moments(row, till);
  if (end < scale.from || scheduled > scale.to) return null;
  const bar = (kind, a, b, height = BAR) => {
    const x0 = scale.x(Math.max(a, scale.from)), x1 = scale.x(Math.min(b, scale.to));
    if (b < scale.from || a > scale.to) return null;
    return html`<rect class=${kind} key=${kind + a} x=${x0} width=${Math.max(b > a ? 2 : 1, x1 - x0)} y=${(ROW - height) / 2} height=${height}
      rx=${height > 4 ? 2 : 0}></rect>`;
  };
  const cross = row.status === "Failed" && ended !== undefined && ended <= scale.to &&
    html`<path class="cross-mark" d="M-3.5-3.5l7 7M3.5-3.5l-7 7" transform="translate(${scale.x(ended)} ${MIDDLE})"></path>`;
  if (WAITS.includes(row.kind) || MOMENTS.includes(row.kind)) {
    const isMoment = row.kind !== "timer" && ended === scheduled;
    return html`${!isMoment && bar("wait", scheduled, end, 2)}
      ${(isMoment || ended !== undefined) && html`<path class="moment ${row.kind} ${row.status}" d="M0-4l4 4l-4 4l-4-4z"
        transform="translate(${scale.x(ended ?? scheduled)} ${MIDDLE})"></path>`}`;
  }
  if (attempts.length > 0) {
    const parts = [bar("queue", scheduled, attempts[0].from)];
    attempts.forEach((attempt, index) => {
      const next = attempts[index + 1]?.from;
      const isLast = next === undefined;
      const stop = isLast && ended !== undefined ? Math.max(attempt.to, attempt.from) : attempt.to;
      parts.push(bar(`run ${hasFailed(row, attempt, isLast) ? "failed" : ""}`, attempt.from, stop));
      if (attempt.errorType && (!isLast || ended === undefined)) parts.push(bar("backoff", stop, next ?? end));
      parts.push(html`<line class="tick" key=${"t" + index} x1=${scale.x(attempt.from)} x2=${scale.x(attempt.from)} y1="4" y2=${ROW - 4}></line>`);
    });
    return html`${parts}${cross}`;
  }
  const kind = row.kind === "child" ? "child" : started === undefined ? (ended === undefined ? "queue" : "span") : "run";
  return html`${started !== undefined && bar("queue", scheduled, started)}
    ${bar(`${kind} ${row.status === "Failed" ? "failed" : ""}`, started ?? scheduled, end)}${cross}`;
}

// ---------------------------------------------------------------- one row

function Details({ entry, till, origin, onClose }) {
  const shownZone = useStore(zone);
  if (!entry) return null;
  const { row } = entry;
  const { scheduled, started, ended, attempts } = moments(row, till);
  const facts = [
    ["Kind", row.kind], ["Status", row.status], ["Line", row.line], ["Host", row.host],
    ["Scheduled", `+${duration(scheduled - origin)} · ${absolute(scheduled, shownZone)}`],
    ["In the queue", row.queueMs !== undefined ? duration(row.queueMs) : started !== undefined ? duration(started - scheduled) : null],
    ["Ran", row.runMs !== undefined ? duration(row.runMs) : null],
    ["Took", duration((ended ?? till) - scheduled)],
    ["Next attempt", row.nextAttemptTime ? absolute(at(row.nextAttemptTime), shownZone) : null],
    ["Due", row.dueTime ? absolute(at(row.dueTime), shownZone) : null],
    ["Instance", row.instanceId ? html`<a href="#/instances/${encodeURIComponent(row.instanceId)}"><bdi>${visible(row.instanceId)}</bdi></a>` : null],
  ].filter(([, value]) => value);
  return html`<div class="details" role="region" aria-label="Details of the row">
    <div class="bar"><h3><bdi>${visible(titleOf(row))}</bdi> ${row.taskId !== undefined && html`<span class="dim">task ${row.taskId}</span>`}</h3>
      <span class="grow"></span><button type="button" onClick=${onClose}>Close</button></div>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${typeof value === "string" ? visible(value) : value}</dd></div>`)}</dl>
    ${row.failure && html`<p class="failure"><${Shape} kind="Failed"/> <bdi>${visible(`${row.failure.type}: ${row.failure.message}`)}</bdi></p>`}
    ${attempts.length > 0 && html`<${Attempts} attempts=${attemptsOf(row)}/>`}</div>`;
}

// The attempts of a row, each with its outcome and the call that it belongs to.
export const attemptsOf = (row) => (row.attempts ?? []).map((each, index, all) => {
  const failure = index === all.length - 1 && each.errorType === undefined ? row.failure : undefined;
  return { ...each, errorType: each.errorType ?? failure?.type, message: each.message ?? failure?.message,
    call: row.name, taskId: row.taskId };
});

export function Attempts({ attempts, names }) {
  const shownZone = useStore(zone);
  return html`<div class="scroll"><table class="rows attempts">
    <thead><tr>${names && html`<th>Call</th>`}<th class="num">Attempt</th><th>Started</th><th class="num">Ran</th><th>Host</th><th>Outcome</th></tr></thead>
    <tbody>${attempts.map((each, index) => html`<tr key=${index}>
      ${names && html`<td>${visible(each.call)} <span class="dim">#${each.taskId}</span></td>`}
      <td class="num">${count(each.number)}</td><td>${absolute(at(each.startedTime), shownZone)}</td>
      <td class="num">${each.ms !== undefined && duration(each.ms)}</td>
      <td>${visible(each.host ?? "")}</td>
      <td>${each.errorType ? html`<${Shape} kind="Failed"/> <bdi>${visible(`${each.errorType}: ${each.message ?? ""}`)}</bdi>` : html`<${Shape} kind="Completed"/>`}</td></tr>`)}
    </tbody></table></div>`;
}
