"""What the project's commands run. No part of the package that is installed."""
