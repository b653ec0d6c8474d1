"""The one place that draws: boxes on images, what terms see, grids of samples."""
