"""Leaving no trace: whatever is asked about a model, and however it ends, the model is as it was."""

import importlib
import inspect
import pkgutil
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.glassbox.architectures import build
from transformers import AttentionInterface, AttentionMaskInterface

import glassbox as gb
from glassbox import attention_function, text, trace
from glassbox.judging import infidelity, sanity
from glassbox.judging.benchmark import measure
from glassbox.judging.faithfulness import question_of
from glassbox.reading import tuned_lens
from glassbox.telling import narration
from glassbox.views import heads, parts, sweep, writing

IDS = torch.tensor([[5, 9, 120, 7, 33, 41]])
OTHER = torch.tensor([[17, 3, 99, 204, 8, 61]])
MODELS = ["gpt2", "gemma2", "bert-classifier"]

# What makes a method quick; here nobody looks at what it computes, only at what it leaves behind.
SMALL = {
    "smooth_grad": dict(samples=2),
    "integrated_gradients": dict(steps=3),
    "discretised_integrated_gradients": dict(anchors=3, neighbours=4, halvings=1),
    "uniform_discretised_integrated_gradients": dict(anchors=3, neighbours=4, halvings=1),
    "sequential_integrated_gradients": dict(steps=2),
    "lime": dict(samples=12),
    "kernel_shap": dict(samples=12),
}


def explained(model, tokenizer, method="gradient_x_input", ids=IDS, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three steps are far from complete
        return gb.explain(model, tokenizer, ids, method=method, **SMALL.get(method, {}), **more)


def vector(model):
    return gb.steering_vector(model, None, positive=[IDS], negative=[OTHER], layer=1)


def sentences():
    def mask(tokenizer, spans):
        return [place == 1 for place in range(len(tokenizer("The Eiffel Tower")["input_ids"]))]

    return [SimpleNamespace(prompt="The Eiffel Tower", answer=" Paris", evidence=[(4, 10)], mask=mask)]


def inside(context, model):
    with context, torch.random.fork_rng():  # in training mode, dropout draws
        model(IDS)


PUSHES = dict(strengths=[-1, 2], new_tokens=2)

# Everything public that takes a model. A test sees to it that nothing is missing.
USES = {
    "ablate": lambda model, tokenizer: inside(gb.ablate(model, vector(model)), model),
    "anatomy": lambda model, tokenizer: gb.anatomy(model),
    "architecture": lambda model, tokenizer: gb.views.architecture(model),
    "attention": lambda model, tokenizer: gb.views.attention(model, tokenizer, IDS),
    "attention_by": lambda model, tokenizer: inside(
        attention_function.attention_by(model, attention_function.plain_attention), model
    ),
    "benchmark": lambda model, tokenizer: gb.benchmark(model, tokenizer, sentences(), ["rollout"], progress=False),
    "compare": lambda model, tokenizer: gb.compare(model, tokenizer, IDS, ["rollout", "gradient", "leave_one_out"]),
    "counterfactual": lambda model, tokenizer: gb.counterfactual(model, tokenizer, IDS, choices=2, most=1),
    "encode": lambda model, tokenizer: text.encode(model, tokenizer, "The Tower"),
    "explain": lambda model, tokenizer: explained(model, tokenizer),
    "faithfulness": lambda model, tokenizer: gb.faithfulness(model, tokenizer, explained(model, tokenizer)),
    "fingerprint": lambda model, tokenizer: tuned_lens.fingerprint(model),
    "generation": lambda model, tokenizer: gb.views.generation(model, tokenizer, IDS, new_tokens=2),
    "heads_of": lambda model, tokenizer: heads.heads_of(model, tokenizer, IDS),
    "infidelity": lambda model, tokenizer: infidelity.infidelity(
        model, tokenizer, explained(model, tokenizer), samples=5
    ),
    "local": lambda model, tokenizer: narration.local(model, tokenizer),
    "logit_attribution": lambda model, tokenizer: gb.logit_attribution(model, tokenizer, IDS),
    "logit_lens": lambda model, tokenizer: gb.logit_lens(model, tokenizer, IDS),
    "measure": lambda model, tokenizer: measure(model, tokenizer, sentences(), ["lrp"], progress=False),
    "model_card": lambda model, tokenizer: gb.model_card(model, purpose="a test"),
    "parts_of": lambda model, tokenizer: parts.parts_of(model),
    "patchscope": lambda model, tokenizer: gb.patchscope(model, tokenizer, IDS, OTHER, layer=1, new_tokens=2),
    "project": lambda model, tokenizer: gb.project(model, tokenizer, IDS, vector(model)),
    "question_of": lambda model, tokenizer: question_of(model, tokenizer, explained(model, tokenizer)),
    "removal_curves": lambda model, tokenizer: gb.removal_curves(model, tokenizer, explained(model, tokenizer)),
    "sanity_check": lambda model, tokenizer: gb.sanity_check(model, tokenizer, IDS, method="gradient_x_input"),
    "sensitivity": lambda model, tokenizer: infidelity.sensitivity(model, tokenizer, IDS, method="lrp", samples=2),
    "stages": lambda model, tokenizer: sanity.stages(model),
    "steer": lambda model, tokenizer: inside(gb.steer(model, vector(model), positions=[0, -1]), model),
    "steering_vector": lambda model, tokenizer: vector(model),
    "steering": lambda model, tokenizer: gb.views.steering(model, tokenizer, IDS, vector(model), **PUSHES),
    "sweep": lambda model, tokenizer: sweep.sweep(model, tokenizer, IDS, vector(model), **PUSHES),
    "train": lambda model, tokenizer: tuned_lens.train(model, tokenizer, [IDS, OTHER], steps=2, batch_size=2),
    "undisturbed": lambda model, tokenizer: inside(trace.undisturbed(model), model),
    "write": lambda model, tokenizer: writing.write(model, tokenizer, IDS, new_tokens=2),
}
ASKED = [(name, method) for name in MODELS for method in gb.METHODS]


def test_no_public_function_that_takes_a_model_is_forgotten():
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(gb.__path__, "glassbox.")]
    takers = {
        name
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if next(iter(inspect.signature(value).parameters), "") == "model" and value not in gb.METHODS.values()
    }
    assert takers == set(USES)


class Fingerprint:
    """All that stands in a model, on it, and beside it: which objects, and which numbers."""

    def __init__(self, model):
        self.objects, self.numbers = {}, {}
        configurations = {}
        for name, part in model.named_modules():
            self._look_into(name, part)
            if hasattr(part, "config"):
                configurations[id(part.config)] = part.config
        for number, config in enumerate(configurations.values()):
            self._look_into(f"config {number}", config)
        for name, parameter in model.named_parameters():
            self.objects[f"{name}.grad"] = parameter.grad
            self.numbers[f"{name}.grad"] = self._digest(parameter.grad)
            self.numbers[name] = self._digest(parameter), parameter._version, parameter.requires_grad
        for name, buffer in model.named_buffers():
            self.numbers[name] = self._digest(buffer), buffer.requires_grad
        self.numbers["registered"] = [*AttentionInterface._global_mapping, *AttentionMaskInterface._global_mapping]
        self.numbers["random"] = self._digest(torch.get_rng_state()), repr(np.random.get_state()), random.getstate()
        self.numbers["torch"] = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()

    def _look_into(self, name, thing):
        for attribute, value in vars(thing).items():
            self.objects[f"{name}.{attribute}"] = value
            if isinstance(value, dict):
                self.objects |= {f"{name}.{attribute}[{key!r}]": held for key, held in value.items()}

    def _digest(self, tensor):
        return None if tensor is None else (tensor.shape, tensor.dtype, tensor.detach().numpy().tobytes())

    def assert_same(self, model):
        now = Fingerprint(model)
        assert list(now.objects) == list(self.objects)  # the order too: hooks run in it
        assert [name for name, held in now.objects.items() if held is not self.objects[name]] == []
        assert [name for name, value in now.numbers.items() if value != self.numbers[name]] == []


def marked(model):
    """A model that is not as it comes: in mixed modes, partly frozen, with gradients and with hooks of all kinds."""
    model.train()
    last = list(model.modules())[-3]
    last.eval()
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 3 != 0)
        if number % 3 == 1:
            parameter.grad = torch.full_like(parameter, 0.5)
    last.register_forward_hook(lambda *_: None)
    last.register_forward_hook(lambda module, inputs, named, output: None, with_kwargs=True, always_call=True)
    last.register_forward_pre_hook(lambda *_: None)
    last.register_forward_pre_hook(lambda module, inputs, named: None, with_kwargs=True)
    last.register_full_backward_hook(lambda *_: None)
    last.register_full_backward_pre_hook(lambda *_: None)
    last.note = "the owner's"
    return model


class Stop(BaseException):
    """As KeyboardInterrupt: nobody may catch it by `except Exception`."""


def stopping(model, when, backward=False):
    """Place a hook that stops the `when`-th run of the middle block, or the way back through it."""
    runs = []

    def stop(*_):
        raise Stop

    def count(module, inputs, output):
        runs.append(module)
        if len(runs) >= when:
            if not backward:
                stop()
            if output.requires_grad:
                output.register_hook(stop)

    gb.anatomy(model).blocks[1].register_forward_hook(count)
    return runs


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_no_trace_of_a_method(tokenizer, name, method):
    model = marked(build(name))
    before = Fingerprint(model)
    explained(model, tokenizer, method)
    before.assert_same(model)


@pytest.mark.parametrize("method", gb.METHODS)
def test_no_trace_where_attention_is_fused(tokenizer, method):
    model = marked(build("llama", attn_implementation="sdpa"))
    before = Fingerprint(model)
    try:
        explained(model, tokenizer, method)
    except gb.errors.ModelError as error:
        assert "eager" in str(error)
    before.assert_same(model)


@pytest.mark.parametrize("when", [1, 2])
@pytest.mark.parametrize(("name", "method"), ASKED)
def test_no_trace_of_a_method_stopped_while_the_model_runs(tokenizer, name, method, when):
    model = marked(build(name))
    runs = stopping(model, when)
    before = Fingerprint(model)
    try:
        explained(model, tokenizer, method)
    except Stop:
        assert len(runs) == when
    else:
        assert len(runs) < when  # it runs the model only once
    before.assert_same(model)


@pytest.mark.parametrize(("name", "method"), ASKED)
def test_no_trace_of_a_method_stopped_on_the_way_back(tokenizer, name, method):
    model = marked(build(name))
    stopping(model, 1, backward=True)
    before = Fingerprint(model)
    stopped = False
    try:
        explained(model, tokenizer, method)
    except Stop:
        stopped = True
    before.assert_same(model)
    assert stopped or not any(word in method for word in ("grad", "lrp"))


@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.parametrize("method", gb.METHODS)
def test_no_trace_where_the_target_raises(tokenizer, method, when):
    model, calls = marked(build("gpt2")), []

    def target(output):
        calls.append(output)
        if len(calls) >= when:
            raise ZeroDivisionError
        return output.logits[0, -1, 7]

    before = Fingerprint(model)
    try:
        explained(model, tokenizer, method, target=target)
    except ZeroDivisionError:
        assert len(calls) == when
    else:
        assert 1 <= len(calls) < when
    before.assert_same(model)


@pytest.mark.parametrize("use", USES)
def test_no_trace_of_other_uses(tokenizer, use):
    model = marked(build("gpt2"))
    before = Fingerprint(model)
    USES[use](model, tokenizer)
    before.assert_same(model)


@pytest.mark.parametrize("when", [1, 2, 4])
@pytest.mark.parametrize("use", USES)
def test_no_trace_of_other_uses_when_stopped(tokenizer, use, when):
    model = marked(build("gpt2"))
    runs = stopping(model, when)
    before = Fingerprint(model)
    try:
        USES[use](model, tokenizer)
    except Stop:
        assert len(runs) == when
    else:
        assert len(runs) < when
    before.assert_same(model)


def test_everything_is_put_back():
    """Also what no method touches today."""
    model = marked(build("gemma3", attn_implementation="sdpa"))
    before = Fingerprint(model)
    with pytest.raises(Stop), trace.undisturbed(model):
        assert not any(part.training for part in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        model.requires_grad_(False)
        model.set_attn_implementation("eager")
        model.config.final_logit_softcapping = 1.0
        model.model.layers[0] = model.model.layers[1]
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(300, 32))
        for part in list(model.modules()):
            for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):
                hooks.clear()
            part.register_forward_hook(lambda *_: None, with_kwargs=True, always_call=True)
            part.register_full_backward_hook(lambda *_: None)
            part.forward = None
            part.note = "another's"
        raise Stop
    before.assert_same(model)
    model.eval()
    assert torch.equal(model(IDS).logits, build("gemma3", attn_implementation="sdpa")(IDS).logits)


def test_gradients_are_not_added_to():
    model = build("gpt2")
    model(IDS).logits.sum().backward()
    before = Fingerprint(model)
    with trace.undisturbed(model):
        model(IDS).logits.sum().backward()
    before.assert_same(model)


def test_the_order_of_hooks_is_put_back():
    model, order = build("gpt2"), []
    handles = [model.lm_head.register_forward_hook(lambda *_, n=n: order.append(n)) for n in range(3)]
    with trace.undisturbed(model):
        model.lm_head._forward_hooks.pop(handles[0].id)
    model(IDS)
    assert order == [0, 1, 2]
    for handle in handles:
        handle.remove()
    assert not model.lm_head._forward_hooks


def test_nothing_is_emptied_for_the_sake_of_an_addition():
    """Another thread that runs the model, without glassbox, never finds a module without its attributes."""

    class NeverEmpty(dict):
        def clear(self):
            raise AssertionError("for a moment it would be empty")

    model = build("gpt2")
    model.notes = NeverEmpty(kept=1)
    with trace.undisturbed(model):
        model.notes["added"] = 2
    assert model.notes == {"kept": 1}


def test_one_inside_the_other(tokenizer):
    model = marked(build("gpt2"))
    before = Fingerprint(model)
    with trace.undisturbed(model), trace.undisturbed(model):
        explained(model, tokenizer)
    before.assert_same(model)


def test_hooks_of_transformers_that_were_there_stay(tokenizer):
    model = build("gpt2")
    model(IDS, output_attentions=True)
    before = Fingerprint(model)
    explained(model, tokenizer, "rollout")
    before.assert_same(model)
    assert len(model(IDS, output_attentions=True).attentions) == 3


def test_dropout_is_off_while_explaining(tokenizer):
    model = build("gpt2")
    calm = explained(model, tokenizer).scores
    assert torch.equal(explained(model.train(), tokenizer).scores, calm)


@pytest.mark.parametrize("method", gb.METHODS)
def test_the_callers_gradient_mode_is_no_matter(tokenizer, method):
    model = build("gpt2")
    free = explained(model, tokenizer, method).scores
    with torch.no_grad():
        assert torch.allclose(explained(model, tokenizer, method).scores, free, atol=1e-6)
    # Frozen layers are computed by other kernels, which round differently.
    assert torch.allclose(explained(model.requires_grad_(False), tokenizer, method).scores, free, atol=1e-5)


def test_threads_on_one_model(tokenizer):
    """Each method on two texts, all at a time, says what it says alone."""
    model = marked(build("gpt2"))
    asked = [(method, ids) for method in gb.METHODS for ids in (IDS, OTHER)]
    alone = [explained(model, tokenizer, method, ids).scores for method, ids in asked]
    before = Fingerprint(model)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: explained(model, tokenizer, *each).scores, asked))
    before.assert_same(model)
    assert [asked[place] for place in range(len(asked)) if not torch.equal(together[place], alone[place])] == []


def test_steering_in_one_thread_while_another_explains(tokenizer):
    """The push is there for the whole of its block, and gone after it, whatever an explanation meanwhile puts back."""
    model = build("gpt2")
    v, plain = vector(model), model(IDS).logits
    with gb.steer(model, v):
        pushed = model(IDS).logits
    before, done = Fingerprint(model), threading.Event()

    def explain_until_done():
        while not done.is_set():
            explained(model, tokenizer, "rollout")

    other = threading.Thread(target=explain_until_done)
    other.start()
    try:
        for _ in range(20):
            with gb.steer(model, v):
                assert torch.equal(model(IDS).logits, pushed)
            assert torch.equal(model(IDS).logits, plain)
    finally:
        done.set()
        other.join()
    before.assert_same(model)
