"""The verbs of the command line: for each the module that holds it, and what it does in one sentence.

The sentence is the first one of the verb's own help. It is repeated here so that ``--help`` imports no verb.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    module: str
    summary: str


VERBS = {
    "backup": Verb("backup", "Copy the embedded store as it is now into FILE, while hosts continue to use it."),
    "bulk": Verb("bulk", "Do one ACTION to all instances that the filter matches."),
    "cancel": Verb("requests", "Cancel instances: an error is raised where their code waits, so that it can clean up."),
    "check-deploy": Verb(
        "check_deploy",
        "Replay every open instance of a live hub with this code; the hub is only read.",
    ),
    "completion": Verb("completion", "Print the completion script of a shell, for the command durable_core."),
    "cost": Verb(
        "cost",
        "Show what the storage operations of an instance cost so far; without an ID, what the ended instances "
        "that match have cost, by orchestrator, the dearest first.",
    ),
    "debug": Verb(
        "debug",
        "Replay an instance, or an exported FILE, under pdb: step through its orchestrator, with the result "
        "of each yield.",
    ),
    "enqueue": Verb("enqueue", "Run ACTIVITY by itself, as a durable job, and print the id of its instance."),
    "entities": Verb("entities", "List entities, show one, send an operation to one, or delete one."),
    "events": Verb(
        "show",
        "Show the history of an instance: each event and decision of its current generation, in order.",
    ),
    "explain": Verb("explain", "Say why an instance does not go on, and what to do."),
    "fork": Verb(
        "fork",
        "Start a new instance with a copy of the history of the instance ID, up to a place, and print its id.",
    ),
    "history": Verb("history", "Histories of instances, as files."),
    "host": Verb(
        "host",
        "Run the function_app.py of a folder on this machine, under the Azure Functions host's rules.",
    ),
    "host-json": Verb("host_json", "Check the host.json of FOLDER for what durable_core needs of it in Azure."),
    "hosts": Verb("hub", "List the hosts of the hub."),
    "init": Verb(
        "init",
        "Make an app in the new folder NAME: code, a test, and all that deploys it to Azure with 'azd up'.",
    ),
    "limits": Verb(
        "limits",
        "List the limits that are in use, with how many slots are held and how many wait; of one LIMIT show by whom.",
    ),
    "lint": Verb(
        "lint",
        "Find non-deterministic code in the orchestrators of files and folders, and in what they call.",
    ),
    "list": Verb("list_instances", "List the instances of a hub, newest first."),
    "purge": Verb(
        "purge",
        "Delete ended instances with all their data: those of these IDs, or those that the options select.",
    ),
    "query": Verb("query", "Ask a query handler of an instance and print its answer as JSON."),
    "queues": Verb("hub", "List the queues of the hub with their depth and the age of the next message."),
    "raise": Verb("requests", "Raise an external event on an instance."),
    "recover": Verb(
        "recover",
        "Rebuild every message of the hub from its tables, and recover the messages in its poison queues.",
    ),
    "replay": Verb(
        "replay",
        "Replay exported histories with the current code; a folder stands for the .json files in it.",
    ),
    "restart": Verb(
        "restart",
        "Start the orchestrator of the instance ID again, with the same input, and print the id of the new instance.",
    ),
    "restore": Verb("backup", "Replace the embedded store by the backup FILE."),
    "resume": Verb("requests", "Resume suspended instances."),
    "rewind": Verb(
        "rewind",
        "Let the instance ID, which has failed, was terminated or was canceled, go on from before its end.",
    ),
    "schedules": Verb(
        "schedules",
        "List the schedules of a hub, newest first; or pause, resume, trigger, backfill or delete one.",
    ),
    "show": Verb(
        "show",
        "Show an instance: status, input, output, failure; and as a table its calls with queue time, run "
        "time, attempts.",
    ),
    "start": Verb("start", "Start an instance of ORCHESTRATOR and print its id."),
    "stats": Verb("hub", "Count the instances of the hub by status, with its stuck and retrying ones."),
    "stream": Verb(
        "stream",
        "Follow a stream that an activity of an instance writes, until its end; without a name, list the streams.",
    ),
    "suspend": Verb("requests", "Suspend instances: events and results are kept until they are resumed."),
    "tail": Verb("tail", "Follow an instance live: its history so far, then each new event, until it has ended."),
    "terminate": Verb(
        "requests",
        "Terminate instances at once, without their code, and their sub-orchestrations with them.",
    ),
    "timers": Verb("hub", "List the timers, retries and deadlines that are over ten minutes away, the earliest first."),
    "tree": Verb(
        "explain",
        "Show the sub-orchestrations of an instance, and theirs, with the status of each; and its parent.",
    ),
    "update": Verb("update", "Have a running instance carry out an update, and print its result as JSON."),
    "wheel": Verb(
        "init",
        "Write the wheel of this durable_core into FOLDER, for an app that is deployed with a remote build.",
    ),
}
