"""The image tokenizer: 64 x 64 pictures to 64 codes of one book and back, its training and its measures."""
