"""The text tokenizer as something that is trained and measured by itself; what the network reads of it is `omni.vocabulary`."""
