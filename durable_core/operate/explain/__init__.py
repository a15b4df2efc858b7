"""Why an instance does not go on: one sentence that names the cause, and what to do; from storage alone.

``explaining`` asks the causes in order; each file of causes has one group of them. With the app's code at hand
(``code_here``) a replay adds what the code alone knows.
"""

from .beginning_and_end import NOT_THERE
from .explaining import explain
from .explanation import ChainLink, Explanation

__all__ = ["NOT_THERE", "ChainLink", "Explanation", "explain"]
