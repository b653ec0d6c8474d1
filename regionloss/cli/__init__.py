"""The command line: `main.py` and one command a file."""
