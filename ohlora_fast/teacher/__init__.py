"""The teacher: FaceXFormer, whose hair probabilities a student is distilled from, and the soft labels it writes."""
