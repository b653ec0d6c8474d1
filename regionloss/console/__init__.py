"""What commands print: tables, sentences of errors, progress."""

from regionloss.console.options import (
    Device,
    MaxPixels,
    Overrides,
    RecipeName,
    Runner,
    RunnerName,
    Task,
    Tasks,
    check_suffix,
    with_folder,
)
from regionloss.console.progress import Progress
from regionloss.console.sentences import SentenceGroup
from regionloss.console.tables import counted, print_table

__all__ = [
    "Device",
    "MaxPixels",
    "Overrides",
    "Progress",
    "RecipeName",
    "Runner",
    "RunnerName",
    "SentenceGroup",
    "Task",
    "Tasks",
    "check_suffix",
    "counted",
    "print_table",
    "with_folder",
]
