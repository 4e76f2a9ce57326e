"""A schedule: is everything still provable, may all of it be used, is this checkout right? If not, an issue says so.

An issue stays for years. So it counts and names models, links and checks, and never a record or a subject.

What a command says is right (True), wrong (False), or unknown (None): then no issue is opened, and none is closed.
"""

import json

from attest import LOG
from credentials import aws_role
from repository import Repository
from results import asks_for_consent, has_model, store_is_of_this_machine
from steps import ask

MARK = "<!-- lineage checks -->"
TITLE = "Lineage: something is wrong, or could not be looked at"
SHOWN = 50  # rows of a table
# what doctor alone looks at: while it is unknown, nobody may say that all is right. Not "objects", which it cannot know
# of a remote in S3 without a cache: `verify` looks at those of every model itself
NEEDED = ("promotions",)


def run(service):
    """Exit status: 0 if nothing is wrong, else 1."""
    repository = Repository(service)
    repository.begin(service.default_branch, None)
    asked = {("verify", "lineage.json") if store_is_of_this_machine() else ("verify", "--all"): verified}
    asked |= {("audit", "affected"): affected} if asks_for_consent() else {}
    asked |= {("doctor",): wrong}
    with aws_role(service):
        answers = {
            " ".join(command): shows(*ask("lineage", *command, "--json", **repository.variables))
            for command, shows in asked.items()
        }
        if LOG.is_file():
            answers["log check"] = logged(*ask("lineage", "log", "check", **repository.variables))
    text = "\n".join(line for name, (_, lines) in answers.items() for line in (f"### `lineage {name}`", "", *lines, ""))
    text = f"{text}\n{service.job_url}\n"
    print(text)
    service.summary(text)
    states = [right for right, _ in answers.values()]
    if None in states or False in states:
        more = "Each command, run in a clone, says more. Each check writes this again."
        service.issue(MARK, TITLE, f"{text}\n{more}\n", opens=False in states)
        return int(False in states)
    service.no_issue(MARK, f"All is right again.\n\n{text}")
    return 0


def verified(status, said):
    """What `verify` says: whether all is right, and lines of Markdown."""
    document = parsed(said)
    if document is None:
        return False, [unread(status)]
    models = document["models"]
    if not models and not has_model():
        return True, ["There is no model yet."]
    rows = []
    for model in models:
        open_ = ", ".join(f"{link['name']} {link['state']}" for link in model["links"] if link["state"] != "PASS")
        if open_:
            rows.append([f"`{model['model']}`", model["state"], open_])
    right = status in (0, 3)  # 3: records were erased on purpose, and all that is left agrees
    passed = sum(model["state"] == "PASS" for model in models)
    return right, [f"{passed} of {len(models)} models proved.", *table(["model", "", "links that do not pass"], rows)]


def affected(status, said):
    """What `audit affected` says, counted."""
    document = parsed(said)
    if document is None:
        return False, [unread(status)]
    found, unknown = document["affected"], document["unknown"]
    rows = [[f"`{_named(each['use'])}`", str(len(each["subjects"])), _records(each)] for each in found]
    lines = [f"{len(found)} models and runs rest on records that may not be used any more."]
    lines += [f"{len(unknown)} questions could not be answered: there may be more."] if unknown else []
    return status == 0, [*lines, *table(["", "subjects", "records"], rows)]


def _named(use):
    return f"run {use['name']} ({use['stage']})" if use["kind"] == "run" else use["name"]


def _records(each):
    return f"{each['records']}, and those of {each['erased']} erased" if each["erased"] else str(each["records"])


def wrong(status, said):
    """What `doctor` finds wrong."""
    findings = parsed(said)
    if findings is None:
        return False, [unread(status)]
    found = [each for each in findings if each["state"] == "wrong"]
    unknown = [each for each in findings if each["state"] == "unknown"]
    looked, right = len(findings) - len(unknown), not found
    if right and any(each["check"] in NEEDED for each in unknown):
        right = None
    rows = [[each["check"], each["state"], f"`{each['fix']}`" if each["fix"] else ""] for each in [*found, *unknown]]
    said = f"{len(found)} of {looked} checks find something wrong; {len(unknown)} could not look."
    return right, [said, *table(["check", "", "mend"], rows)]


def logged(status, said):
    """What `log check` says, which names things by hash."""
    lines = said.splitlines()
    if status not in (0, 1, 2) or not lines:
        return False, [unread(status)]
    # 2: something is not in it yet, which the next job of the branch adds, or a line cannot be compared any more
    right = {0: True, 1: False, 2: None}[status]
    more = [f"- and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return right, [*(f"- {line}" for line in lines[:SHOWN]), *more]


def parsed(said):
    """A command's JSON; None where it had no answer."""
    try:
        return json.loads(said)
    except ValueError:
        return None


def unread(status):
    return f"No answer (exit status {status}): the log of the job says why."


def table(head, rows):
    """Rows as Markdown; nothing for none."""
    if not rows:
        return []
    more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows[:SHOWN])
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]
    return ["", *lines, *more]
