// The rows of a timeline, from the events of a history.
import { get, ofInstance } from "./api.js";
import { at } from "./format.js";
import { hasEnded } from "./list.js";

// The timeline of an instance, from its history.
export async function readTimeline(id, signal) {
  const { data } = await get(ofInstance(id), { query: { showInput: false, showHistory: true }, signal });
  const { historyEvents: events, runtimeStatus, createdTime, lastUpdatedTime, waits = [] } = data;
  const isOver = hasEnded(runtimeStatus);
  const awaited = waits.filter(({ kind }) => kind === "event")
    .map(({ kind, name, line, since }) => ({ kind, name, line, scheduledTime: since ?? events.at(-1)?.Timestamp, status: "Waiting" }));
  return {
    createdTime: events[0]?.Timestamp ?? createdTime, endedTime: isOver ? events.at(-1)?.Timestamp ?? lastUpdatedTime : undefined,
    rows: [...rowsOf(events, isOver), ...awaited],
  };
}

const ENDS = { TaskCompleted: "Completed", TaskFailed: "Failed", TimerFired: "Completed", TimerCanceled: "Canceled",
  SubOrchestrationCompleted: "Completed", SubOrchestrationFailed: "Failed" };
const BEGINNINGS = { TaskScheduled: "activity", TimerCreated: "timer", SubOrchestrationCreated: "child",
  OrchestrationStarted: "detached", EventSent: "event" };

function rowsOf(events, hasEnded) {
  const rows = new Map();
  const out = [];
  for (const event of events ?? []) {
    const { EventType: type, TaskId: taskId, Timestamp: time } = event;
    if (type in BEGINNINGS) {
      const row = { taskId, kind: BEGINNINGS[type], name: event.Name ?? "", line: event.Line, scheduledTime: time,
        dueTime: event.FireAt, instanceId: event.InstanceId, status: "Running" };
      if (row.kind === "detached" || type === "EventSent") Object.assign(row, { status: "Completed", endedTime: time });
      rows.set(taskId, row);
      out.push(row);
    } else if (type in ENDS) {
      const row = rows.get(taskId);
      if (row) Object.assign(row, { endedTime: time, status: ENDS[type], failure: event.Failure });
    } else if (type === "StepCompleted") {
      out.push({ taskId, kind: "step", name: event.Name, line: event.Line, scheduledTime: time, startedTime: time,
        endedTime: time, status: event.Failure ? "Failed" : "Completed", failure: event.Failure });
    } else if (type === "EventRaised") {
      out.push({ kind: "event", name: event.Name, scheduledTime: time, endedTime: time, status: "Completed" });
    }
  }
  for (const row of out) if (!row.endedTime) row.status = hasEnded ? "Canceled" : row.kind === "timer" ? "Waiting" : "Running";
  return out.sort((a, b) => at(a.scheduledTime) - at(b.scheduledTime));
}
