"""Views without a browser: tables and data say the same, tokens are text, each output is small and always the same."""

import base64
import json
import re
from html.parser import HTMLParser

import matplotlib
import pytest
import torch
import transformers as hf
from tests.glassbox.architectures import ARCHITECTURES, ENCODERS, build
from tests.glassbox.hostile import HOSTILE, IDS, KINDS, attribution, every_view, vector_of

import glassbox as gb
from glassbox.errors import InputError, ModelError
from glassbox.norm_based import norms_by_head
from glassbox.views import heads, parts, sweep, writing
from glassbox.views.view import Table, View, bytes_of, label, name

TEXT = "The unseen Tower is in"


class Piece(HTMLParser):
    """The tables, the data and the ids of one view's HTML, read as a browser with scripts off would read them."""

    def __init__(self, view: View):
        super().__init__()
        self.html = view._repr_html_()
        self.tables, self.tags, self.ids, self.scripts, self._inside = [], [], [], [], None
        self.feed(self.html)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "script":
            self.scripts.append("")
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, text):
        if self._inside in ("td", "th"):
            self.tables[-1][-1][-1] += text
        if self._inside == "script":
            self.scripts[-1] += text


@pytest.fixture(scope="module")
def pushed():
    model = build("gpt2")
    return model, vector_of(model)


@pytest.fixture(scope="module")
def hostile():
    return every_view(build("gpt2"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_hostile_is_text(hostile, kind):
    piece = Piece(hostile[kind])
    allowed = {"div", "style", "table", "caption", "thead", "tbody", "tr", "th", "td", "script"}
    assert {tag for tag, _ in piece.tags} <= allowed
    assert [given for _, given in piece.tags if any(key.startswith("on") for key in given)] == []
    assert len(piece.scripts) == 2 and "start(" in piece.scripts[1], "a token ended a script"
    assert not set("<>&") & set(piece.scripts[0])
    assert not re.search(r"[\u202e\x00-\x09\x0b-\x1f]", piece.html)
    if kind != "architecture":
        assert label(HOSTILE[0]) in json.dumps(piece.data, ensure_ascii=False)
        assert any("<" in cell for table in piece.tables for row in table for cell in row)
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(piece.tags[0][1]["class"].split())


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_is_the_same_each_time_and_works_alone(hostile, kind):
    html = hostile[kind]._repr_html_()
    assert html == every_view(build("gpt2"))[kind]._repr_html_()
    piece = Piece(hostile[kind])
    [own] = piece.ids
    assert f'start("{own}", draw)' in piece.scripts[1]
    assert "function make(" in piece.scripts[1] and piece.scripts[1].count("function draw(") == 1
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\bimport\b|fetch\(|innerHTML|eval\(", piece.scripts[1])
    assert ".gb-view" in html and "@import" not in html and "url(" not in html


def test_ids_are_unique(hostile, model):
    views = [*hostile.values(), gb.views.architecture(build("bert")), gb.views.attention(model, None, IDS[:, :4])]
    ids = [each for view in views for each in Piece(view).ids]
    assert len(ids) == len(set(ids)) == len(views)


@pytest.mark.parametrize("kind", KINDS)
def test_as_text_and_as_a_figure(hostile, kind):
    matplotlib.use("agg")
    view = hostile[kind]
    lines = repr(view).splitlines()
    assert lines[0] == view.title
    tables = Piece(view).tables
    assert len(tables) == len(view.tables)
    for table, shown in zip(view.tables, tables, strict=True):
        assert table.caption in lines
        assert shown == [list(table.columns), *map(list, table.rows)]
        assert all(any(cell in line for line in lines) for row in table.rows for cell in row)
    figure = view.plot("What it shows")
    assert figure.get_suptitle() == "What it shows"
    figure.canvas.draw()


def test_attention_of_thirty_tokens_on_48_heads_is_below_64_kilobytes(smallworld_model):
    model, tokenizer = smallworld_model
    text = "When Mary and John went to the station, John brought the map to Mary. " * 3
    ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :30]
    view = gb.views.attention(model, tokenizer, ids)
    assert (len(view.data["tokens"]), len(view.data["layers"]), view.data["heads"]) == (30, 6, 8)
    size = len(view._repr_html_().encode())
    print(f"attention, 30 tokens, 6 layers, 8 heads: {size} bytes")
    assert size < 64_000


def test_strip_holds_the_scores_by_tokens_and_by_words(model, tokenizer):
    several = [gb.explain(model, tokenizer, TEXT, method=method) for method in ("rollout", "gradient_x_input")]
    view = gb.views.token_strip(several, names=["one", "two"])
    piece = Piece(view)
    by_token, by_word = piece.data["units"]
    for place, each in enumerate(several):
        assert by_token["scores"][place] == pytest.approx(each.scores.tolist(), rel=1e-3)
        assert by_word["scores"][place] == pytest.approx(each.words().scores.tolist(), rel=1e-3)
        assert [row[1 + place] for row in piece.tables[0][1:]] == [f"{score:.3f}" for score in each.scores.tolist()]
    assert "".join(by_word["pieces"]) == "The unseen Tower is in"
    assert piece.tables[0][0] == ["token", "one", "two"]
    assert len(gb.views.token_strip(attribution([" a", " b"], [1.0, 2.0])).data["units"]) == 1  # nothing to merge


def test_evidence_is_marked_without_colour():
    view = gb.views.token_strip(attribution([" a", " b"], [1.0, -2.0]), evidence=[False, True])
    assert view.data["units"][0]["marks"] == [1]
    assert [row[0] for row in view.tables[0].rows] == [" a", " b (evidence)"]


def test_a_strip_needs_one_text():
    one, other = attribution([" a", " b"], [1.0, 2.0]), attribution([" a", " c"], [1.0, 2.0])
    with pytest.raises(InputError, match="different texts"):
        gb.views.token_strip([one, other])
    with pytest.raises(InputError, match="no attribution"):
        gb.views.token_strip([])
    with pytest.raises(InputError, match="names; allowed: 1"):
        gb.views.token_strip(one, names=["a", "b"])
    with pytest.raises(InputError, match="evidence has 1"):
        gb.views.token_strip(one, evidence=[True])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_heads_are_what_transformers_gives(architecture):
    model = build(architecture)
    read = heads.heads_of(model, None, IDS)
    with torch.no_grad():
        theirs = torch.stack(model(IDS, attention_mask=torch.ones_like(IDS), output_attentions=True).attentions)[:, 0]
    assert torch.allclose(read.weights, theirs, atol=1e-5)
    measured = gb.explain(model, None, IDS, method="attention_norms", layer=1, position=4).details["norms"]
    assert torch.allclose(read.weights[1, :, 4] * read.norms[1], measured, atol=1e-4)


def test_a_model_that_is_not_in_the_table_has_weights_and_no_norms():
    config = hf.BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.BloomForCausalLM._from_config(config, attn_implementation="eager").eval()
    view = gb.views.attention(model, None, IDS)
    assert "norms" not in view.data and view.data["layers"] == [0, 1]
    assert gb.views.architecture(model).data["count"] == sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bert"])
def test_weights_in_the_page_are_the_models_to_two_decimals(architecture):
    model = build(architecture)
    read = heads.heads_of(model, None, IDS)
    view = gb.views.attention(model, None, IDS, layer=1, head=2)
    data, seq = view.data, IDS.shape[1]
    codes = list(base64.b64decode(data["weights"]))
    assert data["causal"] == (architecture != "bert")
    places = [(q, k) for q in range(seq) for k in range(q + 1 if data["causal"] else seq)]
    assert len(codes) == 3 * 4 * len(places)
    decoded = torch.zeros(3, 4, seq, seq)
    for number, code in enumerate(codes):
        panel, entry = divmod(number, len(places))
        decoded[panel // 4, panel % 4][places[entry]] = (code / 255) ** 2
    assert torch.allclose(decoded, read.weights, atol=0.004)
    norms = torch.tensor(list(base64.b64decode(data["norms"]))).view(3, 4, seq) / 255 * data["longest"]
    brought = norms_by_head(read.weights[None, 1], torch.ones(1, 4, seq, 1))[0] * read.norms[1][:, None]
    assert torch.allclose(decoded[1] * norms[1][:, None], brought, atol=0.006 * data["longest"])
    table = Piece(view).tables[0]
    assert data["start"] == [1, 2]
    for query, row in enumerate(table[1:]):
        for key, cell in enumerate(row[1:]):
            expected = f"{float(decoded[1, 2, query, key]):.2f}" if (query, key) in places else ""
            assert cell == expected


def test_chosen_layers_and_what_is_not_there(model):
    view = gb.views.attention(model, None, IDS, layers=[2, 0], layer=-3)
    assert (view.data["layers"], view.data["start"]) == ([2, 0], [1, 0])
    with pytest.raises(InputError, match="layer 1 was not read; allowed: 2, 0"):
        gb.views.attention(model, None, IDS, layers=[2, 0], layer=1)
    with pytest.raises(InputError, match="there is no head 4"):
        gb.views.attention(model, None, IDS, head=4)
    with pytest.raises(InputError, match="no layer is asked for"):
        gb.views.attention(model, None, IDS, layers=[])


def test_more_weights_than_a_page_should_carry(model, monkeypatch):
    monkeypatch.setattr(heads, "LARGEST", 251)
    with pytest.raises(InputError, match="are 252 weights; allowed: 251; shorten the text or choose layers"):
        gb.views.attention(model, None, IDS)
    assert gb.views.attention(model, None, IDS, layers=[0])


def test_lens_holds_the_best_words_and_their_ranks(model, tokenizer):
    reading = gb.logit_lens(model, tokenizer, TEXT)
    data = gb.views.lens(reading, follow=[" Paris"]).data
    for column, position in enumerate(reading.positions):
        for row, best in enumerate(reading.top(position)):
            ids, chances = data["cells"][column][row]
            assert [data["words"][number] for number in ids] == [label(word) for word, _ in best]
            assert chances == pytest.approx([chance for _, chance in best], rel=1e-2)
        here, ranks = data["followed"][column]
        assert ranks[0] == reading.ranks()[:, column].tolist()
        assert data["words"][here[1]] == " Paris" or data["words"][here[0]] == " Paris"
        paris = [data["words"][number] for number in here].index(" Paris")
        assert ranks[paris] == reading.ranks(" Paris")[:, column].tolist()
    with pytest.raises(InputError, match="not one token"):
        gb.views.lens(reading, follow=["Paris and London"])


def test_lens_tables_have_the_last_layer_on_top(model, tokenizer):
    reading = gb.logit_lens(model, tokenizer, TEXT, positions=[1, -1])
    words, ranks = gb.views.lens(reading).tables
    assert [row[0] for row in words.rows] == ["layer 3", "layer 2", "layer 1", "layer 0"]
    assert [row[1:] for row in ranks.rows] == [[str(n) for n in row] for row in reading.ranks().flip(0).tolist()]
    (word, chance), *_ = reading.top(-1)[2]
    assert words.rows[1][2] == f"{label(word).strip()} {chance:.3f}"


def probabilities_of(step, temperature):
    """A step's probabilities as the page computes them: by name, and of each group of the others."""
    powers = (torch.tensor(step["logits"], dtype=torch.float64) / temperature).exp()
    tail = torch.tensor(step["tail"], dtype=torch.float64).reshape(-1, 2)
    others = tail[:, 1] * (tail[:, 0] / temperature).exp()
    return powers / (powers.sum() + others.sum()), others / (powers.sum() + others.sum())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 5.0])
def test_few_words_by_name_and_groups_of_others_give_each_temperature(model, temperature):
    written = writing.write(model, None, IDS, new_tokens=4)
    data = gb.views.generation(model, None, IDS, new_tokens=4, keep=20).data
    for logits, step in zip(written.logits.double(), data["steps"], strict=True):
        exact = (logits / temperature).softmax(-1).sort(descending=True).values
        named, others = probabilities_of(step, temperature)
        # Measured: 0.004 at most, since a group of nearly equal logits stands for each of them.
        assert torch.allclose(named, exact[:20], atol=0.006)
        assert float(others.sum()) == pytest.approx(float(exact[20:].sum()), abs=0.006)
        assert sum(count for _, count in step["tail"]) == len(logits) - 20


def test_writing_is_what_transformers_writes(model):
    told = dict(max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=None)
    theirs = model.generate(IDS, attention_mask=torch.ones_like(IDS), **told)[0, IDS.shape[1] :].tolist()
    view = gb.views.generation(model, None, IDS, new_tokens=5)
    assert writing.write(model, None, IDS, new_tokens=5).chosen == theirs
    assert [view.data["words"][step["chosen"][0]] for step in view.data["steps"]] == [str(number) for number in theirs]
    assert [row[1].split()[0] for row in view.tables[0].rows] == [str(number) for number in theirs]


def test_drawn_words_depend_on_the_seed_alone_and_may_lie_far_below(model):
    draws = [writing.write(model, None, IDS, new_tokens=8, seed=seed).chosen for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    data = gb.views.generation(model, None, IDS, new_tokens=8, seed=1, keep=2).data
    written = writing.write(model, None, IDS, new_tokens=8, seed=1)
    ranks = [int((row > row[chosen]).sum()) + 1 for row, chosen in zip(written.logits, written.chosen, strict=True)]
    assert [step["chosen"][2] for step in data["steps"]] == ranks
    assert max(ranks) > 2
    assert [data["words"][step["chosen"][0]] for step in data["steps"]] == [str(number) for number in draws[0]]


def test_writing_stops_at_the_end_of_text_and_of_positions(model):
    first = writing.write(model, None, IDS, new_tokens=4).chosen[0]
    model.generation_config.eos_token_id, before = [first], model.generation_config.eos_token_id
    try:
        assert writing.write(model, None, IDS, new_tokens=4).chosen == [first]
    finally:
        model.generation_config.eos_token_id = before
    full = torch.arange(1, 24)[None]
    assert len(writing.write(model, None, full, new_tokens=9).chosen) == 2  # it reads 24 tokens at most


@pytest.mark.parametrize("architecture", ENCODERS)
def test_an_encoder_writes_nothing(architecture):
    with pytest.raises(ModelError, match="sees the whole text at once"):
        gb.views.generation(build(architecture), None, IDS)


def test_a_classifier_writes_nothing():
    with pytest.raises(ModelError, match="predicts classes"):
        gb.views.generation(build("gpt2-classifier"), None, IDS)


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_some_word_has_to_be_asked_for(model, number):
    with pytest.raises(InputError, match="allowed: a whole number from 1"):
        gb.views.generation(model, None, IDS, new_tokens=number)


def test_a_sweep_is_steering_at_each_strength(pushed):
    model, vector = pushed
    pushes = sweep.sweep(model, None, IDS, vector, strengths=[-3, 0, 3], new_tokens=4, watch=[7])
    for push in pushes:
        with gb.steer(model, vector, push.strength):
            written = writing.write(model, None, IDS, new_tokens=4)
        assert push.tokens == [str(number) for number in written.chosen]
        assert push.chances == pytest.approx([float(written.logits[0].softmax(-1)[7])])
        surprise, ids = 0.0, IDS
        for number in written.chosen:  # word by word, to the model left alone
            with torch.no_grad():
                surprise -= float(model(ids).logits[0, -1].log_softmax(-1)[number])
            ids = torch.cat([ids, torch.tensor([[number]])], dim=1)
        assert push.perplexity == pytest.approx(float(torch.tensor(surprise / 4).exp()), rel=1e-4)
    assert len({tuple(push.tokens) for push in pushes}) > 1
    assert pushes[1].perplexity == min(push.perplexity for push in pushes)


def test_the_steering_view_is_in_the_order_of_strengths(pushed):
    model, vector = pushed
    view = gb.views.steering(model, None, IDS, vector, strengths=[2, -1, 0, 2], new_tokens=2)
    assert [push["strength"] for push in view.data["pushes"]] == [-1, 0, 2]
    assert [row[0] for row in view.tables[0].rows] == ["-1", "0", "2"]
    with pytest.raises(InputError, match="no strength"):
        gb.views.steering(model, None, IDS, vector, strengths=[])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_map_counts_every_parameter_once_and_finds_the_blocks(architecture):
    model = build(architecture)
    whole = parts.parts_of(model)
    assert whole.count == sum(each.numel() for each in model.parameters())
    boxes = gb.views.architecture(model).data["boxes"]
    assert sum(box["count"] for box in boxes) == whole.count
    stacks = [box for box in boxes if box.get("times") == 3]
    assert len(stacks) == 1, "three blocks are alike"
    in_blocks = sum(each.numel() for block in gb.anatomy(model).blocks for each in block.parameters())
    assert 3 * sum(part["count"] for part in stacks[0]["parts"]) == stacks[0]["count"] == in_blocks
    assert stacks[0]["shape"] == "batch, seq, 32"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_adds_to_the_stream_is_named_once_for_attention_and_once_for_the_mlp(architecture):
    [block] = [part for _, part in parts.parts_of(build(architecture)).walk() if part.times == 3]
    assert sum(part.stream for _, part in block.walk()) == 2


def test_parts_stand_in_the_order_in_which_they_work():
    names = [box["name"] for box in gb.views.architecture(build("gpt2")).data["boxes"]]
    assert names == ["wte", "wpe", "h.0–2", "ln_f", "lm_head"]
    block = gb.views.architecture(build("gemma2")).data["boxes"][-3]
    assert [part["name"] for part in block["parts"]] == [
        "input_layernorm", "self_attn", "post_attention_layernorm",
        "pre_feedforward_layernorm", "mlp", "post_feedforward_layernorm",
    ]  # fmt: skip


def test_parts_that_take_the_tokens_of_all_texts_together_say_so():
    block = gb.views.architecture(build("opt")).data["boxes"][2]
    assert {part["name"]: part["shape"] for part in block["parts"]}["fc1"] == "batch · seq, 40"


def test_a_tied_unembedding_is_counted_at_the_embedding():
    boxes = {box["name"]: box for box in gb.views.architecture(build("gpt2")).data["boxes"]}
    assert (boxes["wte"]["count"], boxes["lm_head"]["count"], boxes["lm_head"]["shared"]) == (9600, 0, 9600)
    assert boxes["wte"]["own"] == [["weight", [300, 32], False]]
    assert boxes["wpe"]["takes"] == "numbers" and boxes["ln_f"]["takes"] == "batch, seq, 32"


def test_a_part_that_does_not_work_is_told_apart():
    model = build("bert")
    model.idle = torch.nn.Linear(2, 3)
    boxes = {box["name"]: box for box in gb.views.architecture(model).data["boxes"]}
    assert boxes["idle"]["unused"] and "unused" not in boxes["embeddings"]
    assert list(boxes)[-1] == "idle"


def test_bytes_are_near_the_shares_and_say_so():
    shares = torch.linspace(0, 1, 1001)
    coded, read = bytes_of(shares)
    assert (read - shares).abs().max() <= 0.004
    assert torch.allclose((torch.tensor(list(base64.b64decode(coded))) / 255.0) ** 2, read.float(), atol=1e-6)


@pytest.mark.parametrize(("token", "shown", "short"), [
    (" a", " a", "a"), ("\n", "\\n", "\\n"), (" ", " ", "␣"), ("<b>", "<b>", "<b>"),
    ("\u202eabc", "\\u202eabc", "\\u202eabc"),
    ("x" * 20, "x" * 20, "x" * 15 + "…"),
])  # fmt: skip
def test_tokens_are_shown_with_their_spaces_and_names_without(token, shown, short):
    assert (label(token), name(token)) == (shown, short)


def test_a_table_as_text_is_aligned():
    table = Table("Caption", ["a", "bb"], [["x", "1.0"], ["yy", "-2.00"]])
    assert str(table) == "Caption\na      bb\nx     1.0\nyy  -2.00"
