#!/usr/bin/env python3
"""Stands in for a PBS server, its nodes, and its commands, where there is none.

Install: ROOT/bin/{qsub,qstat,qdel,qselect,pbsnodes} are links to this file; everything else lies in ROOT. It runs jobs as
processes of this machine and prints what OpenPBS was seen to print, word by word. ROOT/control.json says what goes
wrong, and may change at any time:

  writer: "head" or "older"       how qstat writes JSON (the older writer prints what looks like a number bare)
  down: true                      the server cannot be reached
  hang: ["qsub", ...]             these commands never end, and do nothing
  hang_after: ["qsub"]            these do their work, and then never end
  refuse: [status, "text"]        what every qsub ends with
  vanish: true                    qsub takes a job that no destination of its routing queue will
  first_id_only: true             qstat answers for the first of several ids
  history: false                  the server keeps none
  purge: true                     nothing is known of ended jobs any more
  no_nodes: true                  jobs stay queued; estimate: epoch seconds at which they are expected to start
  start_fails: true               21 attempts to start, then a hold
  node_fails: ["name", ...]       the node of a job's first run is lost, "*": of any job's (its processes go on with node_lives: true)
                                  (a job that may not run again ends with -20)
  requeue: ["name", ...]          the first run is put back into the queue, after requeue_after seconds (0); meanwhile, R/60 for
                                  requeue_time seconds (1), a qdel says 0 and is forgotten, and then what the run used is cleared
  suspend: ["name", ...]          these stand still, S/43, as long as they are named
  preempt: ["name", ...]          the scheduler deletes these
  deaf: seconds                   how long a qdel of a running job is not honoured
  raw_jobs: ["text", ...]         jobs of somebody else, as the JSON of a listing has them
  crowd: number                   so many queued jobs of somebody else
  mail_users: {...}               a held job of somebody else was submitted with `qsub -M` and this; the newer writer
                                  prints what parses as JSON as JSON
  nodes: number                   of 64 cpus and 4 gpus each (4)
  qsub_says: ["text", ...]        lines that a site's wrapper prints after the id
"""
import fcntl
import getopt
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

SERVER = "pbs01"
VERSION = {"head": "23.06.06", "older": "22.05.11"}
QUEUES = ("workq", "debug", "prod", "stopped", "disabled")
POLL = 0.02
KILL_DELAY = 2.0
ROOT = ""
COMMAND = ""


def control():
    try:
        with open(os.path.join(ROOT, "control.json")) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def path_of(number, kind="json"):
    return os.path.join(ROOT, "jobs", f"{number}.{kind}")


def load(number):
    try:
        with open(path_of(number)) as file:
            return json.load(file)
    except OSError:
        return None


def save(job):
    part = path_of(job["number"], f"part{os.getpid()}")
    with open(part, "w") as file:
        json.dump(job, file)
    os.rename(part, path_of(job["number"]))


class Lock:
    def __enter__(self):
        self.file = open(os.path.join(ROOT, "lock"), "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def change(number, **values):
    with Lock():
        job = load(number)
        if job is not None:
            job.update(values)
            job["mtime"] = time.time()
            save(job)
        return job


def all_jobs():
    numbers = sorted(int(name[:-5]) for name in os.listdir(os.path.join(ROOT, "jobs")) if name.endswith(".json"))
    return [job for job in map(load, numbers) if job is not None]


def finish(status, *lines):
    for line in lines:
        print(line, file=sys.stderr)
    sys.stdout.flush()
    sys.exit(status)


def is_live(job):
    return job["state"] not in ("F", "X")


def known_jobs(history):
    settings = control()
    keeps = settings.get("history", True) and not settings.get("purge")
    return [job for job in all_jobs() if is_live(job) or (history and keeps)]


def find(text):
    """The job that an id names, or how PBS refuses the id."""
    match = re.fullmatch(r"(\d+)(\[\d*\])?(?:\.(\S+))?", text)
    if not match:
        return None, (170, f"{COMMAND}: Unknown queue destination {text}") if COMMAND == "qstat" else (
            1, f"{COMMAND}: illegally formed job identifier: {text}")
    if match.group(3) not in (None, SERVER):
        return None, (1, f"{COMMAND}: illegally formed job identifier: {text}")
    job = load(int(match.group(1)))
    if job is None or job.get("vanished") or (not is_live(job) and job not in known_jobs(True)):
        return None, (153, f"{COMMAND}: Unknown Job Id {match.group(1)}{match.group(2) or ''}.{SERVER}")
    return job, None


# ---- qsub

def parse_options(arguments, job):
    options, rest = getopt.getopt(arguments, "A:N:o:e:j:r:q:l:hk:v:W:m:S:V")
    for option, value in options:
        if option == "-l":
            for part in value.split(","):
                name, _, text = part.partition("=")
                job["resources"][name] = text
        elif option == "-h":
            job["hold"] = "u"
        else:
            job["options"][option[1]] = value
    return rest


def directives(script):
    for line in script.splitlines():
        if line.startswith("#PBS "):
            yield shlex.split(line[5:])
        elif line.strip() and not line.startswith("#"):
            return


def qsub(arguments):
    settings = control()
    if "refuse" in settings:
        finish(settings["refuse"][0], settings["refuse"][1])
    asked = {"options": {}, "resources": {}, "hold": "n"}
    rest = parse_options(arguments, asked)
    try:
        with open(rest[0], newline="") as file:
            script = file.read()
    except OSError:
        finish(1, "qsub: script file:: No such file or directory")
    if "\r\n" in script:
        finish(1, "qsub: script contains cr, lf")
    job = {"options": {}, "resources": {}, "hold": "n"}
    for words in directives(script):
        try:
            parse_options(words, job)
        except getopt.GetoptError as error:
            finish(1, f"qsub: invalid option -- '{error.opt}'", f"qsub: directive error: {' '.join(words)} ")
    job["options"].update(asked["options"])  # the command line wins
    job["resources"].update(asked["resources"])
    job["hold"] = asked["hold"]
    check(job)
    now = time.time()
    job.update(owner=pwd.getpwuid(os.geteuid()).pw_name, state="H" if job["hold"] != "n" else "Q",
               substate=20 if job["hold"] != "n" else 10, ctime=now, mtime=now, run_count=0, comment=None,
               arguments=" ".join(arguments), directory=os.getcwd())
    with Lock():
        counter = os.path.join(ROOT, "sequence")
        number = 1 + (int(open(counter).read()) if os.path.exists(counter) else 0)
        with open(counter, "w") as file:
            file.write(str(number))
        job["number"] = number
        if settings.get("vanish"):
            job["vanished"] = True
        with open(path_of(number, "SC"), "w") as file:
            file.write(script)
        save(job)
    if not settings.get("vanish"):
        start_mom(number)
    if "qsub" in settings.get("hang_after", []):
        time.sleep(100000)
    print(f"{number}.{SERVER}")
    for line in settings.get("qsub_says", []):
        print(line)


def check(job):
    queue = job["options"].get("q", "workq")
    if queue not in QUEUES:
        finish(170, "qsub: Unknown queue")
    if queue == "disabled":
        finish(173, "qsub: Queue is not enabled")
    name = job["options"].get("N", "STDIN")
    if re.search(r"[\s/;]", name):
        finish(2, "qsub: illegal -N value", "usage: qsub [-a date_time] [-A account_string] [-c interval]")
    select = job["resources"].get("select", "1:ncpus=1")
    if not re.match(r"\d+", select) or int(re.match(r"\d+", select).group()) > 2:
        finish(188, "qsub: Job violates queue and/or server resource limits")
    if "walltime" in job["resources"] and seconds(job["resources"]["walltime"]) is None:
        finish(166, "qsub: Illegal attribute or resource value Resource_List.walltime")


def seconds(text):
    if not re.fullmatch(r"\d+(:\d+){0,2}", text):
        return None
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total


def start_mom(number):
    mom = os.path.join(os.path.dirname(sys.argv[0]), "pbs_mom")
    null = open(os.devnull, "r+")
    log = open(os.path.join(ROOT, "mom.log"), "a")
    subprocess.Popen([mom, str(number)], stdin=null, stdout=log, stderr=log, start_new_session=True, close_fds=True)


# ---- the node

def mom(number):
    while True:
        job = load(number)
        if not is_live(job):
            return
        if job["state"] == "Q" and not control().get("no_nodes"):
            if not run(number):
                return
        elif job["state"] == "Q" and not job["comment"]:
            change(number, comment="Not Running: Not enough free nodes available")
        time.sleep(POLL)


def stamp(job):
    return time.strftime("Job run at %a %b %d at %H:%M on ", time.gmtime(job["stime"])) + vnode(job)


def vnode(job):
    return f"(x3001c0s7b{max(0, job['run_count'] - 1)}n0:ncpus=64:ngpus=4)"


def end(number, status, substate, words):
    job = load(number)
    job["comment"] = f"{job['comment'] or ''} {words}".strip()
    change(number, state="F", substate=substate, exit=status, comment=job["comment"], obittime=time.time(),
           stageout=deliver(job))


def deliver(job):
    outcome = 1
    spool = {"o": path_of(job["number"], "OU"), "e": path_of(job["number"], "ER")}
    if job["options"].get("j") == "oe":
        del spool["e"]
    for option, source in spool.items():
        target = job["options"].get(option)
        try:
            if target:
                shutil.copyfile(source, target)
        except OSError:
            outcome = 0
    return outcome


def run(number):
    """One run of the job. True when it goes back into the queue."""
    settings = control()
    with Lock():
        job = load(number)
        if job["state"] != "Q":
            return True
        job["stime"] = job["mtime"] = time.time()
        job["run_count"] += 1
        job.update(state="R", substate=42, comment=stamp(job), exit=None, obittime=None)
        if settings.get("start_fails"):
            job.update(state="H", substate=20, hold="s", run_count=21, exit=-3, obittime=time.time(),
                       comment="job held, too many failed attempts to run")
        save(job)
    if job["state"] == "H":
        return True
    process = spawn(job)
    return watch(number, process)


def spawn(job):
    identity = f"{job['number']}.{SERVER}"
    home = os.environ.get("HOME", "/")
    environment = {"PATH": "/usr/bin:/bin", "HOME": home, "USER": job["owner"], "PBS_JOBID": identity,
                   "PBS_JOBNAME": job["options"].get("N", "STDIN"), "PBS_ENVIRONMENT": "PBS_BATCH",
                   "PBS_O_WORKDIR": job["directory"], "PBS_QUEUE": job["options"].get("q", "workq"), "NCPUS": "64"}
    script = path_of(job["number"], "SC")
    os.chmod(script, 0o700)
    out = open(path_of(job["number"], "OU"), "a")
    err = out if job["options"].get("j") == "oe" else open(path_of(job["number"], "ER"), "a")
    # As PBS does: the login shell gets the script's name on its standard input.
    shell = subprocess.Popen(["/bin/bash"], stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment,
                             start_new_session=True, cwd=home)
    shell.stdin.write((script + "\n").encode())
    shell.stdin.close()
    return shell


def members(session):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append(int(name))
            except (OSError, IndexError):
                pass
    return found


def tell(session, number):
    for pid in members(session):
        try:
            os.kill(pid, number)
        except OSError:
            pass


def stop(process):
    """TERM to all processes of the job, and KILL to those that are left."""
    tell(process.pid, signal.SIGTERM)
    deadline = time.time() + KILL_DELAY
    while members(process.pid) and time.time() < deadline:
        process.poll()
        time.sleep(POLL)
    tell(process.pid, signal.SIGKILL)
    return process.wait()


def watch(number, process):
    job = load(number)
    name = job["options"].get("N", "STDIN")
    limit = seconds(job["resources"].get("walltime", "999:00:00"))
    while True:
        code = process.poll()
        if code is not None:
            break
        job, settings = load(number), control()
        first, begun = job["run_count"] == 1, time.time() > job["stime"] + 0.3
        if {name, "*"} & set(settings.get("node_fails", [])) and first and begun:
            if not settings.get("node_lives"):
                tell(process.pid, signal.SIGKILL)
            if job["options"].get("r") == "n":
                end(number, -20, 93, "")
                return False
            change(number, state="Q", substate=10)
            return True
        ran = time.time() - job["stime"]
        if name in settings.get("requeue", []) and first and begun and ran >= settings.get("requeue_after", 0):
            return put_back(number, process, settings.get("requeue_time", 1))
        if name in settings.get("suspend", []) and begun:
            suspend(number, process, name)
            continue
        if name in settings.get("preempt", []) and begun:
            stop(process)
            end(number, 271, 91, f"and terminated by Scheduler@{SERVER}")
            return False
        if job.get("deleted") and time.time() >= job["deleted"] + settings.get("deaf", 0):
            return deleted(number, process, settings)
        if limit > 0 and time.time() - job["stime"] > limit:
            used = int(time.time() - job["stime"]) + 1
            with open(path_of(number, "OU" if job["options"].get("j") == "oe" else "ER"), "a") as file:
                file.write(f"=>> PBS: job killed: walltime {used} exceeded limit {limit}\n")
            stop(process)
            end(number, -29, 93, "and exceeded resource walltime")
            return False
        time.sleep(POLL)
    status = code if code >= 0 else 256 - code
    end(number, status, 92 if status == 0 else 93, "and finished" if status == 0 else "and failed")
    return False


def put_back(number, process, duration):
    change(number, substate=60)
    tell(process.pid, signal.SIGTERM)
    deadline = time.time() + duration
    while time.time() < deadline:
        process.poll()
        time.sleep(POLL)
    tell(process.pid, signal.SIGKILL)
    process.wait()
    change(number, state="Q", substate=10, exit=-11, obittime=time.time())
    return True


def suspend(number, process, name):
    change(number, state="S", substate=43)
    tell(process.pid, signal.SIGSTOP)
    while name in control().get("suspend", []):
        time.sleep(POLL)
    tell(process.pid, signal.SIGCONT)
    change(number, state="R", substate=42)


def deleted(number, process, settings):
    if settings.get("deaf"):
        tell(process.pid, signal.SIGKILL)
        process.wait()
        end(number, 265, 93, "and failed")
        return False
    change(number, comment=f"{load(number)['comment']} and terminated by {load(number)['owner']}@{SERVER}")
    code = stop(process)
    end(number, code if code >= 0 else 256 - code, 91, "")
    return False


# ---- qdel, qselect

def qdel(arguments):
    status, lines, taken = 0, [], False
    for text in arguments:
        job, trouble = find(text)
        if trouble:
            if taken:
                open(os.path.join(ROOT, "crashed"), "w").close()  # what such a qdel does to a server
            status, line = trouble
            lines.append(line)
            break
        if not is_live(job):
            status, taken = 35, True
            lines.append(f"qdel: Job has finished {text}")
        else:
            taken = True
            delete(job)
    finish(status, *lines)


def delete(job):
    with Lock():
        job = load(job["number"])
        if job["state"] == "R" and job["substate"] == 60:
            return
        if job["state"] in ("R", "S"):
            job.setdefault("deleted", time.time())
        elif is_live(job):
            comment = job["comment"]
            job.update(state="F", substate=91, mtime=time.time(), ended=time.time(),
                       comment=f"{comment} and terminated" if comment else None)
        save(job)


def qselect(arguments):
    options, _ = getopt.getopt(arguments, "N:u:xs:q:")
    wanted = dict(options)
    if "-x" in wanted and not control().get("history", True):
        finish(36, "qselect: PBS is not configured to maintain job history")
    for job in known_jobs("-x" in wanted):
        if job.get("vanished"):
            continue
        if wanted.get("-N", job["options"].get("N")) != job["options"].get("N", "STDIN"):
            continue
        if wanted.get("-u", job["owner"]) == job["owner"]:
            print(f"{job['number']}.{SERVER}")


# ---- qstat

def clock(moment):
    return time.ctime(int(moment)) if moment else None


def length(duration):
    duration = int(duration)
    return f"{duration // 3600:02d}:{duration // 60 % 60:02d}:{duration % 60:02d}"


def attributes(job):
    """In the order of PBS; None is left out."""
    options, started = job["options"], job["run_count"] > 0 and job["state"] != "Q"
    ended = job.get("obittime") or job.get("ended")
    number = job["number"]
    used = {"cpupercent": 0, "cput": "00:00:00", "mem": "0kb", "ncpus": 64, "vmem": "0kb",
            "walltime": length((job.get("obittime") or time.time()) - job["stime"])} if started else None
    chunks = int(re.match(r"\d+", job["resources"].get("select", "1")).group())
    resources = {**{k: v for k, v in job["resources"].items() if k not in ("select", "walltime", "place")},
                 "ncpus": 64 * chunks, "ngpus": 4 * chunks, "nodect": chunks, "place": "scatter",
                 "select": job["resources"].get("select", "1:ncpus=1"),
                 "walltime": length(seconds(job["resources"]["walltime"])) if "walltime" in job["resources"] else None}
    estimate = control().get("estimate") if job["state"] == "Q" else None
    return {
        "Job_Name": options.get("N", "STDIN"), "Job_Owner": f"{job['owner']}@{SERVER}", "resources_used": used,
        "job_state": job["state"], "queue": options.get("q", "workq"), "server": SERVER,
        "Account_Name": options.get("A"), "Checkpoint": "u", "ctime": clock(job["ctime"]),
        "Error_Path": f"{SERVER}:{options.get('e', '')}", "exec_host": "x3001c0s7b0n0/0*64" if started else None,
        "exec_vnode": vnode(job) if started else None, "Hold_Types": job["hold"],
        "Join_Path": options.get("j", "n"), "Keep_Files": options.get("k", "n"), "Mail_Points": "a",
        "mtime": clock(job["mtime"]), "Output_Path": f"{SERVER}:{options.get('o', '')}", "Priority": 0,
        "qtime": clock(job["ctime"]), "Rerunable": "False" if options.get("r") == "n" else "True",
        "Resource_List": resources, "stime": clock(job.get("stime")) if started else None, "obittime": clock(job.get("obittime")),
        "substate": job["substate"],
        "Variable_List": {"PBS_O_HOME": "/home/user1", "PBS_O_INTERACTIVE_ENCRYPT_METHOD": "",
                          "PBS_O_QUEUE": options.get("q", "workq"), "PBS_O_HOST": SERVER},
        "comment": job["comment"], "etime": clock(job["ctime"]), "run_count": job["run_count"] or None,
        "eligible_time": "00:00:00", "Stageout_status": job.get("stageout"), "Exit_status": job.get("exit"),
        "Submit_arguments": job["arguments"],
        "estimated": {"exec_vnode": vnode(job), "start_time": clock(estimate)} if estimate else None,
        "history_timestamp": int(ended) if ended and job["state"] == "F" else None,
        "project": "_pbs_project_default", "Submit_Host": f"{number and SERVER}"}


def is_number(text):
    try:
        float(text)
        return "_" not in text and not re.match(r"[+-]?0\d", text)
    except ValueError:
        return False


def value_of(value, older, depth):
    if isinstance(value, dict):
        return object_of(value, older, depth)
    if older and isinstance(value, str) and is_number(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def object_of(members_of, older, depth):
    step, colon = ("    ", ":") if older else ("\t", ":\t")
    lines = [f"{step * depth}\"{key}\"{colon}{value_of(value, older, depth + 1)}"
             for key, value in members_of.items() if value is not None]
    return "{\n" + ",\n".join(lines) + "\n" + step * (depth - 1) + "}"


def write_json(jobs, raw):
    older = control().get("writer") == "older"
    step, colon = ("    ", ":") if older else ("\t", ":\t")
    version = VERSION["older" if older else "head"]
    out = sys.stdout
    out.write(f"{{\n{step}\"timestamp\"{colon}{int(time.time())},\n{step}\"pbs_version\"{colon}\"{version}\",\n"
              f"{step}\"pbs_server\"{colon}\"{SERVER}\"")
    between = f",\n{step}\"Jobs\"{colon}{{\n"
    listed = False
    for text in raw:
        out.write(between + text)
        between, listed = ",\n", True
    for identity, members_of in jobs:
        out.write(f"{between}{step * 2}\"{identity}\"{colon}{object_of(members_of, older, 3)}")
        between, listed = ",\n", True
    out.write(f"\n{step}}}" if listed else "")
    out.write("\n}" if older else "\n}\n")


def write_text(jobs, wide):
    for identity, members_of in jobs:
        print(f"Job Id: {identity}")
        for key, value in members_of.items():
            if key == "Variable_List":
                value = ",".join(f"{name}={text}" for name, text in value.items())
            pairs = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
            for name, text in pairs.items():
                if text is None:
                    continue
                line = f"    {name} = {text}"
                while len(line) > 79 and not wide:
                    print(line[:79])
                    line = "\t" + line[79:]
                print(line)
        print()


def crowd():
    for number in range(1, control().get("crowd", 0) + 1):
        yield (f"{5000000 + number}.{SERVER}",
               {"Job_Name": "theirs", "Job_Owner": f"somebody@{SERVER}", "job_state": "Q", "substate": 10,
                "Variable_List": {"FILLER": "x" * 1500}})


def mailer():
    users = control().get("mail_users")
    if users:
        older = control().get("writer") == "older"
        yield (f"4000000.{SERVER}",
               {"Job_Name": "evil", "Job_Owner": f"other@{SERVER}", "job_state": "H", "Hold_Types": "u",
                "Mail_Points": "a", "Mail_Users": json.dumps(users) if older else users, "substate": 20})


def qstat(arguments):
    if arguments == ["--version"]:
        print(f"pbs_version = {VERSION[control().get('writer', 'head')]}")
        return
    options, ids = getopt.getopt(arguments, "fF:wxBQ")
    chosen = dict(options)
    if "-Q" in chosen:
        if ids and ids[0] not in QUEUES:
            finish(170, f"qstat: Unknown queue {ids[0]}")
        for queue in ids or QUEUES:
            print(f"Queue: {queue}\n    queue_type = Execution\n    total_jobs = 0\n"
                  f"    enabled = {queue != 'disabled'}\n    started = {queue != 'stopped'}\n")
        return
    if "-B" in chosen:
        print(f"Server: {SERVER}\n    server_state = Active\n    server_host = {SERVER}\n    default_queue = workq\n"
              f"    pbs_version = {VERSION[control().get('writer', 'head')]}\n")
        return
    history = "-x" in chosen
    if history and not control().get("history", True):
        finish(36, "qstat: PBS is not configured to maintain job history")
    status, lines, jobs = 0, [], []
    for text in ids:
        job, trouble = find(text)
        if not trouble and not is_live(job) and not history:
            trouble = (35, f"qstat: {text} Job has finished, use -x or -H to obtain historical job information")
        if trouble:
            status = trouble[0]
            lines.append(trouble[1])
        else:
            jobs.append(job)
    if len(ids) > 1 and control().get("first_id_only"):
        jobs = jobs[:1]
    if not ids:
        jobs = [job for job in known_jobs(history) if not job.get("vanished")]
    listed = [(f"{job['number']}.{SERVER}", attributes(job)) for job in jobs]
    if not ids:
        listed += crowd()
        listed += mailer()
    if "-F" in chosen:
        write_json(listed, control().get("raw_jobs", []) if not ids else [])
    else:
        write_text(listed, "-w" in chosen)
    finish(status, *lines)


def pbsnodes(_):
    nodes = {}
    for number in range(control().get("nodes", 4)):
        name = f"node{number}"
        nodes[name] = {"Mom": name, "ntype": "PBS", "state": "free",
                       "resources_available": {"arch": "linux", "host": name, "ncpus": 64, "ngpus": "4", "vnode": name}}
    print(json.dumps({"timestamp": int(time.time()), "pbs_server": SERVER, "nodes": nodes}))


def server_is_down(arguments):
    if COMMAND == "qstat" and arguments == ["--version"]:
        return
    if COMMAND == "qstat" and "json" in arguments:
        write_json([], [])
    words = "Couldn't connect to cluster: pbs01" if COMMAND == "qdel" else (
        f"{COMMAND}: cannot connect to server {SERVER} (errno=15010)")
    finish(255 if COMMAND == "qstat" else 162, "Connection refused", words)


def main():
    global ROOT, COMMAND
    COMMAND = os.path.basename(sys.argv[0])
    ROOT = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
    os.makedirs(os.path.join(ROOT, "jobs"), exist_ok=True)
    arguments = sys.argv[1:]
    if COMMAND == "pbs_mom":
        mom(int(arguments[0]))
        return
    with open(os.path.join(ROOT, "calls"), "a") as file:
        file.write(" ".join([COMMAND] + arguments) + "\n")
    settings = control()
    if COMMAND in settings.get("hang", []):
        time.sleep(100000)
    if settings.get("down"):
        server_is_down(arguments)
    {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qselect": qselect, "pbsnodes": pbsnodes}[COMMAND](arguments)


main()
