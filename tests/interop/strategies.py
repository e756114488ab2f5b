"""What a person takes home of every strategy: strategies.py PROGRAMS

A federation of real processes runs a campaign of each kind on a small Qwen2; each site evaluates the last version on texts of
its own. Exported, and loaded by PEFT into the model as transformers load it, the adapter has the losses that the campaign
reported, at every site. Of a personalised strategy, the adapter that each site keeps has them."""
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import PeftModel

from small_task import EOS, TEXTS, load, write_model_and_adapter

PROGRAMS = os.path.abspath(sys.argv[1])
SITES = 7  # as many as the strictest rule needs; the others take the first two
LIMIT = 1e-4
# Of kinds that need more than their names.
ADAPTERS = {"fed-sb": {"middle": True}}
OPTIONS = {"fltrust": {"root_site": "site-0"}, "foldflex": {"mode": "exact"}}


def program(name):
    return os.path.join(PROGRAMS, name)


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **more)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def texts_of(site):
    return [TEXTS[site % len(TEXTS)], TEXTS[(site + 2) % len(TEXTS)] + " " + str(site)]


def write_texts(path, texts):
    with open(path, "w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)


class Federation:
    """Server, lead and sites under ROOT, which holds model/; ends with the block."""

    def __init__(self, root, processes):
        self.running = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.root = root
        self.processes = processes
        self.lead = ["--profile", f"{root}/federation/lead"]
        made = json.loads(run(program("tributary"), "--json", "provision", "--name", "test", "--dir", f"{root}/federation", "--host",
                              "127.0.0.1", "--listen", "127.0.0.1", "--port", str(self.port)))
        self.start("tributary-server", "--config", made["server_config"], "--port-file", f"{root}/port")
        while not os.path.exists(f"{root}/port"):
            assert self.running[-1].poll() is None, "the server did not start"
        self.fingerprint = made["ca_fingerprint"]
        for site in range(SITES):
            self.join(f"site-{site}", texts_of(site))

    def start(self, name, *arguments):
        with open(f"{self.root}/{len(self.running)}.log", "w") as log:
            process = subprocess.Popen([program(name), *arguments], stdout=log, stderr=log)
        self.processes.callback(process.wait)
        self.processes.callback(process.terminate)
        self.running.append(process)

    def tributary(self, *arguments):
        return run(program("tributary"), *self.lead, *arguments)

    def join(self, site, texts):
        home = f"{self.root}/{site}"
        os.mkdir(home)
        token = json.loads(self.tributary("--json", "token", "--name", site))["token"]
        run(program("tributary-client"), "join", "--server", f"127.0.0.1:{self.port}", "--ca-fingerprint", self.fingerprint,
            "--token-file", "-", "--dir", home, input=token)
        write_texts(f"{home}/texts.jsonl", texts)
        with open(f"{home}/client.yaml", "w") as file:
            file.write(f"server: 127.0.0.1:{self.port}\n"
                       "scheduler: {adapter: local}\n"
                       f"job: {{trainer: [{program('tributary-trainer')}], cpus: 1, max_concurrent: 1}}\n"
                       f"policy: {{campaigns: ['*'], leads: [lead], models: {{small: {self.root}/model}},\n"
                       f"         data: {{texts: texts.jsonl}}, metrics: ['loss/*']}}\n"
                       "log: {file: client.log}\n")
        self.start("tributary-client", "run", "--end-jobs", "--config", f"{home}/client.yaml")


def submit(federation, strategy):
    """The campaign's id."""
    kind, capabilities = strategy["kind"], strategy["capabilities"]
    sites = [f"site-{site}" for site in range(max(2, capabilities["min_sites"]))]
    adapter = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "up_proj"], **ADAPTERS.get(kind, {})}
    if capabilities["mixed_ranks"]:
        adapter["site_ranks"] = {"site-1": 2}
    campaign = {"name": kind, "model": {"name": "small", "config": "model"}, "adapter": adapter,
                "data": {"train": "texts", "evaluate": ["texts"]}, "sites": sites,
                "aggregator": {"kind": kind, "options": OPTIONS.get(kind, {})},
                "pacing": {"rounds": 2, "attempts": 1},
                "training": {"steps": 3, "batch_size": 2, "sequence_length": 32, "learning_rate": 0.01},
                "evaluation": {"every": 2}, "walltime": "10m"}
    path = f"{federation.root}/{kind}.yaml"  # JSON is YAML too
    with open(path, "w") as file:
        json.dump(campaign, file)
    federation.tributary("submit", path)
    return kind


def loss(model, tokenizer, site):
    total, count = 0.0, 0
    for text in texts_of(site):
        ids = torch.tensor([tokenizer.encode(text).ids + [EOS]])
        with torch.no_grad():
            logits = model(ids).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return total / count


def adapters_of(federation, campaign, site):
    config = f"{federation.root}/site-{site}/client.yaml"
    kept = json.loads(run(program("tributary-client"), "adapters", "--config", config, "--json"))
    return next(adapter["directory"] for adapter in kept if adapter["campaign"] == campaign)


def check(federation, strategy, tokenizer):
    """The largest distance between a loss reported and the loss in PEFT."""
    campaign = strategy["kind"]
    federation.tributary("watch", campaign, "--timeout", "5m", "--until-paused")
    status = json.loads(federation.tributary("--json", "show", campaign))
    reported = {name.split("/")[0]: value for name, value in status["round_history"][-1]["metrics"].items()
                if name.endswith("/loss/texts")}
    assert len(reported) == max(2, strategy["capabilities"]["min_sites"]), status["round_history"][-1]
    exported = f"{federation.root}/exported-{campaign}"
    federation.tributary("export", campaign, "--to", exported)
    furthest = 0.0
    for name, value in reported.items():
        site = int(name.split("-")[1])
        own = strategy["capabilities"]["personalised"]
        directory = adapters_of(federation, campaign, site) if own else exported
        model = PeftModel.from_pretrained(load(federation.root), directory).eval()
        furthest = max(furthest, abs(loss(model, tokenizer, site) - value))
    base = loss(load(federation.root).eval(), tokenizer, 0)
    print(f"{campaign:18} site-0: base {base:.4f}, reported {reported['site-0']:.6f}, furthest from PEFT {furthest:.1e}", flush=True)
    assert abs(reported["site-0"] - base) > 10 * LIMIT, "this strategy learnt nothing: the comparison says nothing"
    return furthest


def main():
    transformers.logging.set_verbosity_error()
    strategies = json.loads(run(program("tributary"), "--json", "strategies"))
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as processes:
        tokenizer, _ = write_model_and_adapter(root, 0.0)
        federation = Federation(root, processes)
        for strategy in strategies:
            submit(federation, strategy)
        apart = {strategy["kind"]: check(federation, strategy, tokenizer) for strategy in strategies}
        wrong = {kind: distance for kind, distance in apart.items() if not distance < LIMIT}
        print(f"{len(apart)} strategies; apart by more than {LIMIT}: {wrong or 'none'}")
        assert len(apart) >= 40 and not wrong


main()
