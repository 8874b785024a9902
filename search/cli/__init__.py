"""The command line: `spooftune COMMAND`."""
