"""Annotation of shards: one pure function a shard, and who runs it."""

from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.decode import Picture, decode
from regionloss.data.annotate.detect import to_batch
from regionloss.data.annotate.detectors import NamedDetector, resolve, scan_of
from regionloss.data.annotate.executor import Executor
from regionloss.data.annotate.job import Advance, Build, Job, Report
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.pictures import Annotated, annotate, annotate_files
from regionloss.data.annotate.run_local import run_apart, run_here
from regionloss.data.shards.shards import Tick

__all__ = [
    "Advance",
    "Annotate",
    "Annotated",
    "Build",
    "Executor",
    "Job",
    "NamedDetector",
    "Picture",
    "Report",
    "Tick",
    "annotate",
    "annotate_files",
    "decode",
    "jobs_of",
    "resolve",
    "run_apart",
    "run_here",
    "scan_of",
    "to_batch",
]
