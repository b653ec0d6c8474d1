"""The processes of one run: launch, rendezvous, process group, collectives, and the folder that it writes to.

Names are resolved when used: what asks for the launch alone imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_FILES = {
    "collectives": ("counts_by_rank", "from_first_rank", "joint", "rank_and_size", "rows_at", "sum_over_ranks"),
    "folders": ("AUTO", "check_folders", "folder_to_resume", "free_folder"),
    "launch": ("Launch", "is_first_process", "read_launch"),
    "process_group": ("Ranks", "agree", "barrier", "gather_objects", "join", "mean_over_ranks", "over_ranks"),
    "rendezvous": ("Meeting",),
}
_WHERE = {name: file for file, names in _FILES.items() for name in names}
__all__ = sorted(_WHERE)

if TYPE_CHECKING:
    from regionloss.runs.collectives import counts_by_rank as counts_by_rank
    from regionloss.runs.collectives import from_first_rank as from_first_rank
    from regionloss.runs.collectives import joint as joint
    from regionloss.runs.collectives import rank_and_size as rank_and_size
    from regionloss.runs.collectives import rows_at as rows_at
    from regionloss.runs.collectives import sum_over_ranks as sum_over_ranks
    from regionloss.runs.folders import AUTO as AUTO
    from regionloss.runs.folders import check_folders as check_folders
    from regionloss.runs.folders import folder_to_resume as folder_to_resume
    from regionloss.runs.folders import free_folder as free_folder
    from regionloss.runs.launch import Launch as Launch
    from regionloss.runs.launch import is_first_process as is_first_process
    from regionloss.runs.launch import read_launch as read_launch
    from regionloss.runs.process_group import Ranks as Ranks
    from regionloss.runs.process_group import agree as agree
    from regionloss.runs.process_group import barrier as barrier
    from regionloss.runs.process_group import gather_objects as gather_objects
    from regionloss.runs.process_group import join as join
    from regionloss.runs.process_group import mean_over_ranks as mean_over_ranks
    from regionloss.runs.process_group import over_ranks as over_ranks
    from regionloss.runs.rendezvous import Meeting as Meeting


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'regionloss.runs' has no attribute '{name}'")
    return getattr(importlib.import_module(f"regionloss.runs.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
