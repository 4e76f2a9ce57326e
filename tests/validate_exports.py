"""Asks the validator of each standard about the exports in folders. For the Python of validators.py, without a network.

    python validate_exports.py FOLDER...

Prints one line of JSON for each folder: what is wrong, by the name of the export. Empty lists are what a good one has.
"""

import io
import json
import sys
import warnings
from pathlib import Path

STANDARDS = Path(__file__).with_name("standards")


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(path.read_text())
    return [] if found is None else [str(found)[:500]]


def spdx(path):
    """The bindings that are made of the model refuse what it does not know; its SHACL shapes, what is missing."""
    from pyshacl import validate
    from rdflib import Graph
    from spdx_python_model import v3_0_1 as model

    try:
        objects = model.SHACLObjectSet()
        with path.open("rb") as file:
            model.JSONLDDeserializer().read(file, objects)
        model.JSONLDSerializer().write(objects, io.BytesIO())
    except Exception as error:  # its errors have no class in common
        return [f"{type(error).__name__}: {error}"[:500]]
    document = json.loads(path.read_text())
    document["@context"] = json.loads((STANDARDS / "spdx" / "spdx-context.jsonld").read_text())["@context"]
    data = Graph().parse(data=json.dumps(document), format="json-ld")
    shapes = Graph().parse(STANDARDS / "spdx" / "spdx-model.ttl")
    holds, _, text = validate(data, shacl_graph=shapes, ont_graph=shapes, inference="none")
    return [] if holds else [text[:3000]]


def croissant(path):
    import mlcroissant

    try:
        dataset = mlcroissant.Dataset(jsonld=json.loads(path.read_text()))
    except mlcroissant.ValidationError as error:
        return [str(error)[:1000]]
    issues = dataset.metadata.ctx.issues
    # recommended, and unknown or not to be had: how to cite it, and a number for what is named by its hash
    missing = ("citeAs", "MAJOR.MINOR.PATCH")
    unexpected = [str(one) for one in issues.warnings if not any(word in str(one) for word in missing)]
    return [*map(str, issues.errors), *unexpected]


def prov(path):
    from prov.model import ProvDocument

    try:
        document = ProvDocument.deserialize(content=path.read_text(), format="json")
    except Exception as error:  # likewise
        return [f"{type(error).__name__}: {error}"[:500]]
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    return [] if again == document and document.get_records() else ["it is not read as it is written"]


def openlineage(path):
    """Events by the schema of events, and each facet by the schema that it names."""
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry, Resource

    schemas = [json.loads(file.read_text()) for file in (STANDARDS / "openlineage").glob("*.json")]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)

    def faults(document, schema):
        check = Draft202012Validator({"$ref": schema}, registry=registry, format_checker=FormatChecker())
        return [f"{'/'.join(map(str, error.path))}: {error.message}"[:300] for error in check.iter_errors(document)]

    found = []
    for event in json.loads(path.read_text()):
        found += faults(event, event["schemaURL"])
        named = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
        for facets in [each.get(kind) or {} for each in named for kind in ("facets", "outputFacets", "inputFacets")]:
            for facet in facets.values():
                found += faults(facet, facet["_schemaURL"])
    return found


def ro_crate(path):
    import rocrate
    from rocrate_validator import services
    from rocrate_validator.models import Severity

    context = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
    serve_context(context)
    settings = services.ValidationSettings(
        rocrate_uri=str(path.parent),
        profile_identifier="process-run-crate",
        requirement_severity=Severity.REQUIRED,
    )
    result = services.validate(settings)
    return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]


def model_card(path):
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(path.read_text(), ignore_metadata_errors=False)
    except (ValueError, KeyError, TypeError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [] if card.data.eval_results and card.data.model_name else ["no results are read from it"]


def serve_context(context):
    """The one document that the validator asks the network for, from the package that has it."""
    import urllib.request
    import urllib.response
    from email.message import Message

    import requests
    import urllib3

    address, kind = "https://w3id.org/ro/crate/1.1/context", "application/ld+json"

    def send(self, request, **_):
        if request.url.rstrip("/") != address:
            raise requests.ConnectionError(f"there is no network here: {request.url}")
        raw = urllib3.HTTPResponse(
            io.BytesIO(context), {"Content-Type": kind}, 200, preload_content=False, request_url=address
        )
        return self.build_response(request, raw)

    class Handler(urllib.request.BaseHandler):
        handler_order = 100  # before the one that asks the network

        def https_open(self, request):
            if request.full_url.rstrip("/") != address:
                raise OSError(f"there is no network here: {request.full_url}")
            headers = Message()
            headers["Content-Type"] = kind
            answer = urllib.response.addinfourl(io.BytesIO(context), headers, address, 200)
            answer.msg = "OK"
            return answer

    requests.adapters.HTTPAdapter.send = send
    urllib.request.install_opener(urllib.request.build_opener(Handler))


CHECKS = {
    "cyclonedx.json": cyclonedx,
    "spdx.json": spdx,
    "croissant.json": croissant,
    "prov.json": prov,
    "openlineage.json": openlineage,
    "ro-crate/ro-crate-metadata.json": ro_crate,
    "README.md": model_card,
}
LAST = "ro-crate/ro-crate-metadata.json"  # what it imports makes RDF write moments another way than SPDX wants


def main():
    warnings.simplefilter("ignore")
    folders = list(map(Path, sys.argv[1:]))
    found = {folder: {} for folder in folders}
    for name in sorted(CHECKS, key=LAST.__eq__):
        for folder in folders:
            if (folder / name).exists():
                found[folder][name] = CHECKS[name](folder / name)
    for folder in folders:
        print(json.dumps(found[folder]))


if __name__ == "__main__":
    main()
