"""Regions in the files of others: COCO, TokBench, img2dataset."""
