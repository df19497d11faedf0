"""An explanation for those who have to decide: in words that are held against it, a model card, a report."""
