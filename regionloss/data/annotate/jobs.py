"""Patterns -> jobs: which shards are annotated, and where their side-cars go."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from regionloss.data.annotate.job import Job
from regionloss.data.shards.paths import expand, is_folder, is_image, is_tar
from regionloss.data.shards.shards import tars_below
from regionloss.data.sidecars.sidecar import sidecar_path
from regionloss.errors import InputError, expected


def jobs_of(patterns: Sequence[str], out: str = "") -> list[Job]:
    """Return the jobs of patterns: tar files, folders of tar files, folders of images.

    Args:
        patterns: Paths or addresses with `{00..99}` and `*`.
        out: Folder of side-cars; empty for beside the shards.

    Raises:
        InputError: Nothing is there, or two shards would have one side-car.
    """
    shards: list[str] = []
    for path in expand(list(patterns)):
        if is_tar(path) or not is_folder(path):
            shards.append(path)
            continue
        shards += [posixpath.join(path, name) for name in tars_below(path, (".tar", ".tar.gz", ".tgz"))] or [path]
    for path in shards:
        if is_image(path):
            advice = "Give its folder, or use 'regionloss detect'."
            raise InputError(expected(path, "a tar file or a folder of images", "one image", advice))
    jobs: dict[str, Job] = {}
    for shard in dict.fromkeys(shards):
        job = Job(shard, sidecar_path(out.removeprefix("file://"), shard))
        if "http://" in job.target or "https://" in job.target:
            advice = "Name a folder of this machine, or of a store."
            raise InputError(expected("--out", "a folder for side-cars", f"'{job.target}', on the web", advice))
        if job.target in jobs:
            got = f"'{jobs[job.target].shard}' and '{shard}'"
            advice = "Annotate them in two runs, each with its own --out."
            raise InputError(expected(job.target, "the side-car of one shard", got, advice))
        jobs[job.target] = job
    return list(jobs.values())
