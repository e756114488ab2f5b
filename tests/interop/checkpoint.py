"""What a killed job of the Python trainer leaves for the next one: checkpoint.py TRIBUTARY_PEFT.PY

It is taken over whole, or not at all: a node that is lost may leave a part of it."""
import importlib.util
import sys
import tempfile

import torch

spec = importlib.util.spec_from_file_location("tributary_peft", sys.argv[1])
trainer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainer)


def one_parameter(values):
    parameters = {"w": torch.nn.Parameter(torch.tensor(values))}
    optimizer = torch.optim.AdamW(parameters.values())
    return parameters, optimizer


def main():
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = trainer.Checkpoint(directory)
        parameters, optimizer = one_parameter([1.0, 1.0, 1.0])
        assert checkpoint.load(parameters, optimizer) is None
        parameters["w"].sum().backward()
        optimizer.step()
        checkpoint.save(parameters, optimizer, {"step": 1})
        trained = parameters["w"].tolist()
        with open(checkpoint.path, "rb") as file:
            whole = file.read()
        for torn in (b"", whole[:20], whole[:-4]):
            with open(checkpoint.path, "wb") as file:
                file.write(torn)
            fresh, its_optimizer = one_parameter([2.0, 2.0, 2.0])
            assert checkpoint.load(fresh, its_optimizer) is None
            assert fresh["w"].tolist() == [2, 2, 2] and not its_optimizer.state
        with open(checkpoint.path, "wb") as file:
            file.write(whole)
        other, its_optimizer = one_parameter([2.0, 2.0])
        assert checkpoint.load(other, its_optimizer) is None
        assert other["w"].tolist() == [2, 2] and not its_optimizer.state
        fresh, its_optimizer = one_parameter([2.0, 2.0, 2.0])
        assert checkpoint.load(fresh, its_optimizer) == {"step": 1}
        assert fresh["w"].tolist() == trained and its_optimizer.state
        print("a checkpoint is taken over whole, or not at all")


main()
