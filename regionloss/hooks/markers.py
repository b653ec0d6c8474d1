"""The two pluggy markers, alone, so that a plugin imports nothing heavier than pluggy."""

from __future__ import annotations

import pluggy

PROJECT = "regionloss"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
