"""Is an explanation right? Faithfulness, plausibility, sparsity, agreement, and what chance would give."""
