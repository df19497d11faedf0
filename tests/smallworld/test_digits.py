import hashlib
import json

import pytest
import torch

from smallworld import digits


def test_it_reads_handwriting_that_it_never_saw():
    model, images, labels = digits.load()
    assert images.shape == (360, 8, 8) and images.min() >= 0 and images.max() <= 1
    assert sorted(labels.unique().tolist()) == list(range(10))
    report = json.loads((digits.WEIGHTS / "report.json").read_text())
    measured = digits.accuracy(model, images, labels)
    assert measured >= 0.95
    assert measured == pytest.approx(report["held_out_accuracy"], abs=1 / 360)  # processors may differ by an image


def test_accuracy_counts_each_wrong_image():
    model, images, labels = digits.load()
    right = model(images.flatten(1)).argmax(-1)
    assert digits.accuracy(model, images, right) == 1
    one_wrong = right.clone()
    one_wrong[7] = (right[7] + 1) % 10
    assert digits.accuracy(model, images, one_wrong) == pytest.approx(359 / 360)


def test_the_held_out_images_are_none_of_those_it_learnt_from():
    (images, labels), (held_out, _) = digits.split()
    assert len(labels) + len(held_out) == 1797
    seen = {image.numpy().tobytes() for image in images}
    assert not [n for n, image in enumerate(held_out) if image.numpy().tobytes() in seen]


def test_the_network_is_two_hidden_layers_with_biases_and_relus():
    model, _, _ = digits.load()
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert all(layer.bias is not None and layer.bias.abs().max() > 0 for layer in model if hasattr(layer, "bias"))
    assert not model.training


def test_the_report_belongs_to_the_weights():
    report = json.loads((digits.WEIGHTS / "report.json").read_text())
    weights = (digits.WEIGHTS / "model.safetensors").read_bytes()
    assert report["sha256"] == {"model.safetensors": hashlib.sha256(weights).hexdigest()}
    assert report["parameters"] == sum(p.numel() for p in digits.network().parameters())


@pytest.fixture
def one_thread():
    """On a network this small, a second thread waits longer than it works, and on a busy machine for minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_training_again_does_as_well_and_leaves_the_random_numbers_alone():
    state = torch.get_rng_state()
    model = digits.train()
    assert torch.equal(torch.get_rng_state(), state)
    _, held_out = digits.split()
    assert digits.accuracy(model, *held_out) >= 0.95
    shipped, images, _ = digits.load()
    same_answer = (shipped(images.flatten(1)).argmax(-1) == model(images.flatten(1)).argmax(-1)).float().mean()
    assert same_answer >= 0.97
