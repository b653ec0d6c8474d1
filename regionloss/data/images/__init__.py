"""Image files, and transforms that carry boxes and keypoints along."""
