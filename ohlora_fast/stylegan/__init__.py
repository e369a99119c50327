"""The portraits' source: StyleGAN 1 with labels, fine-tuned, and the networks that score its pictures."""
