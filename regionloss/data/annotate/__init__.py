"""Annotation of shards: one pure function a shard, and who runs it."""

from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.decode import Picture, decode
from regionloss.data.annotate.detect import to_batch
from regionloss.data.annotate.detectors import NamedDetector, resolve, scan_of
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.pictures import Annotated, annotate, annotate_files
from regionloss.data.shards.shards import Tick

__all__ = [
    "Annotate",
    "Annotated",
    "NamedDetector",
    "Picture",
    "Tick",
    "annotate",
    "annotate_files",
    "decode",
    "jobs_of",
    "resolve",
    "scan_of",
    "to_batch",
]
