// The rows of a timeline, from the events of a history.
import { at } from "./format.js";

const ENDS = { TaskCompleted: "Completed", TaskFailed: "Failed", TimerFired: "Completed", TimerCanceled: "Canceled",
  SubOrchestrationCompleted: "Completed", SubOrchestrationFailed: "Failed" };
const BEGINNINGS = { TaskScheduled: "activity", TimerCreated: "timer", SubOrchestrationCreated: "child",
  OrchestrationStarted: "detached", EventSent: "event" };

export function rowsOf(events, hasEnded) {
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
