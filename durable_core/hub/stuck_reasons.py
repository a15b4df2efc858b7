"""How the reasons begin for which hosts mark an instance as stuck: who writes a reason and who explains it share them.

The reasons that are the text of an error have no constant here.
"""

NO_ORCHESTRATOR = "waiting for a host that has it: "
NO_ACTIVITY = "waiting for a host that has activity "
OTHER_BUILD = "waiting for a host of the build that committed last, or of one that fits: "
MESSAGES_FAIL = "its messages fail: "
SET_ASIDE = "failed repeatedly and was moved to the poison queue"
HANGS = "code of build "
