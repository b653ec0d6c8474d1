"""Where a face's five keypoints come to lie in a crop: eyes, nose, corners of the mouth."""

from __future__ import annotations

Template = tuple[tuple[float, float], ...]

#: ArcFace, 112 x 112, as InsightFace publishes it: the centre of the first pixel is 0.
ARCFACE_POINTS: Template = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)

#: The same in this SDK's coordinates, where the centre of the first pixel is 0.5.
ARCFACE_TEMPLATE: Template = tuple((x + 0.5, y + 0.5) for x, y in ARCFACE_POINTS)

#: Where MTCNN's points lie on average in the 150 x 150 chips that dlib cuts by its own five points.
DLIB_TEMPLATE: Template = ((50.27, 47.23), (104.04, 45.59), (76.14, 82.90), (55.56, 104.28), (104.07, 102.78))
