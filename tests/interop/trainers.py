"""The trainers of configs/trainers keep the contract, and one of them takes part in a campaign beside native ones.

    trainers.py PROGRAMS TRAINERS      directories of tributary and tributary-client, of configs/trainers
"""
import json
import os
import subprocess
import sys
import tempfile

programs, trainers = sys.argv[1:]
peft = [sys.executable, os.path.join(trainers, "peft", "tributary_peft.py")]
vendor = [sys.executable, os.path.join(trainers, "vendor", "tributary_vendor.py")]
vendor_command = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor_command.py")


def check(command):
    """{trial: outcome} of check-trainer."""
    done = subprocess.run([os.path.join(programs, "tributary-client"), "check-trainer", "--json", "--", *command],
                          stdout=subprocess.PIPE, check=False)
    result = json.loads(done.stdout)
    print(json.dumps(result, indent=1))
    assert done.returncode == (1 if result["failed"] else 0)
    return {trial["name"]: trial["outcome"] for trial in result["checks"]}


def native_keeps_the_contract():
    assert set(check([os.path.join(programs, "tributary-trainer")]).values()) == {"ok"}


def peft_keeps_the_contract():
    assert set(check(peft).values()) == {"ok"}


def a_vendors_command_does_plain_training():
    evaluate = f"{sys.executable} {vendor_command} evaluate {{data}} {{output}}"
    train = [sys.executable, vendor_command, "train", "{adapter}", "{steps}", "{batch_size}", "{output}",
             "{progress}"]
    outcomes = check([*vendor, "--evaluate", evaluate, "--", *train])
    directives = ("frozen", "middle", "pruning", "proximal", "gradient-offset", "keep-optimizer", "merged")
    refused = {name: outcomes.pop(name) for name in directives}
    assert set(refused.values()) == {"warning"}, refused
    assert set(outcomes.values()) == {"ok"}, outcomes


def native_and_peft_sites_share_a_campaign():
    with tempfile.TemporaryDirectory(prefix="tributary-interop-") as directory:
        done = subprocess.run(
            [os.path.join(programs, "tributary"), "demo", "--json", "--dir", directory, "--base-steps", "20",
             "--rounds", "2", "--steps", "3", "--trainer", *peft], stdout=subprocess.PIPE, check=False)
        # 1: so young a base says nothing about who wins.
        assert done.returncode in (0, 1), done.stdout
        result = json.loads(done.stdout)
        losses = {model["model"]: model["mean_loss"] for model in result["models"]}
        print(losses)
        assert losses["federated"] < losses["base"], losses


def one_bad_line_is_a_warning(command):
    """A campaign may leave out some; where all are bad, none can."""
    with tempfile.TemporaryDirectory(prefix="tributary-interop-") as directory:
        outcomes = {}
        for name, lines in (("some", '{"text": "a"}\n{\n'), ("none", "{\n")):
            path = os.path.join(directory, name)
            with open(path, "w") as file:
                file.write(lines)
            done = subprocess.run([*command, "inspect", "--json", "--data", path], stdout=subprocess.PIPE, check=False)
            checks = json.loads(done.stdout.splitlines()[-1])["checks"]
            outcomes[name] = [check["outcome"] for check in checks if check["what"] == "data"]
        assert outcomes == {"some": ["warning"], "none": ["failed"]}, outcomes


native_keeps_the_contract()
peft_keeps_the_contract()
one_bad_line_is_a_warning(peft)
a_vendors_command_does_plain_training()
native_and_peft_sites_share_a_campaign()
