"""What is in the hidden states? Lenses, patchscope, and which parts wrote a logit."""
