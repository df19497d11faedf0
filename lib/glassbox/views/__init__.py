"""Interactive views: what a method found, to be looked at from all sides, in a notebook, an exported page and the book.

>>> import glassbox as gb
>>> model, tokenizer = gb.load("smallworld")
>>> gb.views.attention(model, tokenizer, "The Eiffel Tower is located in the city of")

Each function returns a `View`: the last line of a notebook's cell shows it, `view.plot()` gives the static figure of
the same data, and `print(view)` its numbers. A view is inline SVG and plain JavaScript that fetches nothing.

What a view can't tell you: more than the numbers behind it. A head that looks at a word has not used it for that, and a
colour that is strong beside weak ones may be weak beside the model's logits.
"""

from glassbox.views.heads import attention
from glassbox.views.layers import lens
from glassbox.views.parts import architecture
from glassbox.views.strip import token_strip
from glassbox.views.sweep import steering
from glassbox.views.view import Table, View
from glassbox.views.writing import generation

__all__ = ["Table", "View", "architecture", "attention", "generation", "lens", "steering", "token_strip"]
