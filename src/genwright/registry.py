"""Names, and what they stand for.

A plug-in is a class named by a lazy `"module:Class"` string in one of the dicts below, or by an
entry point of the group `genwright.<kind>` (for example `genwright.families`). Nothing is imported
before it is asked for. The keywords of its constructor *are* its options: name, type, default and
sentence stand once, in the signature and the docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import astuple
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from genwright.errors import RecipeError, suggest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["KINDS", "build", "check", "coerce", "names", "options", "resolve"]

KINDS: dict[str, dict[str, str]] = {
    "families": {
        "vae": "genwright.families.vae:VAE",
        "vqvae": "genwright.families.vqvae:VQVAE",
        "gan": "genwright.families.gan:GAN",
        "autoregressive": "genwright.families.autoregressive:Autoregressive",
        "anyorder": "genwright.families.anyorder:AnyOrder",
        "masked": "genwright.families.masked:Masked",
        "diffusion": "genwright.families.diffusion:Diffusion",
        "flow": "genwright.families.flow:Flow",
        "cyclegan": "genwright.families.cyclegan:CycleGAN",
        "energy": "genwright.families.energy:Energy",
        "stargan": "genwright.families.stargan:StarGAN",
        "style": "genwright.families.style:Style",
        "contrastive": "genwright.families.contrastive:Contrastive",
    },
    "codecs": {
        "image": "genwright.data.image.codec:ImageCodec",
        "table": "genwright.data.table.codec:TableCodec",
        "text": "genwright.data.text.codec:TextCodec",
        "audio": "genwright.data.audio.codec:AudioCodec",
        "level": "genwright.data.level.codec:LevelCodec",
        "molecule": "genwright.data.molecule.codec:MoleculeCodec",
        "music": "genwright.data.music.codec:MusicCodec",
        "series": "genwright.data.series.codec:SeriesCodec",
    },
    "tasks": {
        "generate": "genwright.tasks.generate:Generate",
        "complete": "genwright.tasks.complete:Complete",
        "restore": "genwright.tasks.restore:Restore",
        "pair": "genwright.tasks.pair:Pair",
        "unpaired": "genwright.tasks.unpaired:Unpaired",
    },
    "nets": {
        "auto": "genwright.nets.auto:Auto",
        "mlp": "genwright.nets.mlp:MLPNets",
        "conv": "genwright.nets.conv:ConvNets",
        "dcgan": "genwright.nets.dcgan:DCGANNets",
        "resnet": "genwright.nets.resnet:ResNetNets",
        "unet": "genwright.nets.unet:UNetNets",
        "transformer": "genwright.nets.transformer:TransformerNets",
        "wavenet": "genwright.nets.wavenet:WaveNetNets",
        "pixelcnn": "genwright.nets.pixelcnn:PixelCNNNets",
    },
    "bridges": {
        "none": "genwright.bridges.base:Identity",
        "quantize": "genwright.bridges.base:Quantize",
        "onehot": "genwright.bridges.base:OneHot",
        "dequantize": "genwright.bridges.base:Dequantize",
        "latent": "genwright.bridges.latent:Latent",
        "vq": "genwright.bridges.latent:VQ",
        "spectrogram": "genwright.bridges.spectrogram:Spectrogram",
    },
    "extractors": {
        "contrastive": "genwright.evaluation.extractors.learned:ContrastiveExtractor",
        "classifier": "genwright.evaluation.extractors.learned:ClassifierExtractor",
        "pca": "genwright.evaluation.extractors.learned:PcaExtractor",
        "efficientnet": "genwright.evaluation.extractors.images:EfficientNetExtractor",
        "inception": "genwright.evaluation.extractors.images:InceptionExtractor",
        "minilm": "genwright.evaluation.extractors.texts:MiniLmExtractor",
        "chemnet": "genwright.evaluation.extractors.molecules:ChemNetExtractor",
        "silero": "genwright.evaluation.extractors.sounds:SileroExtractor",
    },
    "metrics": {
        "fd": "genwright.evaluation.metrics.distances:Frechet",
        "fd_inf": "genwright.evaluation.metrics.distances:FrechetInfinity",
        "kid": "genwright.evaluation.metrics.distances:Kid",
        "sw": "genwright.evaluation.metrics.distances:SlicedWasserstein",
        "c2st": "genwright.evaluation.metrics.twosample:ClassifierTwoSample",
        "precision": "genwright.evaluation.metrics.manifold:Precision",
        "density": "genwright.evaluation.metrics.manifold:Density",
        "clipped_density": "genwright.evaluation.metrics.manifold:ClippedDensity",
        "recall": "genwright.evaluation.metrics.manifold:Recall",
        "coverage": "genwright.evaluation.metrics.manifold:Coverage",
        "clipped_coverage": "genwright.evaluation.metrics.manifold:ClippedCoverage",
        "vendi": "genwright.evaluation.metrics.diversity:Vendi",
        "class_score": "genwright.evaluation.metrics.diversity:ClassScore",
        "modes_missed": "genwright.evaluation.metrics.diversity:ModesMissed",
        "heeded": "genwright.evaluation.metrics.condition:Heeded",
        "psnr": "genwright.evaluation.metrics.signals:PeakSignalToNoise",
        "ssim": "genwright.evaluation.metrics.signals:StructuralSimilarity",
        "feature_distance": "genwright.evaluation.metrics.answers:FeatureDistance",
        "exact_match": "genwright.evaluation.metrics.answers:ExactMatch",
        "retrieval_rank": "genwright.evaluation.metrics.answers:RetrievalRank",
        "cer": "genwright.evaluation.metrics.wording:CharacterErrorRate",
        "wer": "genwright.evaluation.metrics.wording:WordErrorRate",
        "chrf": "genwright.evaluation.metrics.wording:CharacterFScore",
        "rouge_l": "genwright.evaluation.metrics.wording:RougeL",
        "crps": "genwright.evaluation.metrics.forecasts:Crps",
        "interval_coverage": "genwright.evaluation.metrics.forecasts:IntervalCoverage",
        "cell_accuracy": "genwright.evaluation.metrics.cells:CellAccuracy",
        "cell_rmse": "genwright.evaluation.metrics.cells:CellError",
        "exact_copies": "genwright.evaluation.metrics.copying:ExactCopies",
        "near_copies": "genwright.evaluation.metrics.copying:NearCopies",
        "nearest_share": "genwright.evaluation.metrics.copying:NearestShare",
        "membership": "genwright.evaluation.metrics.membership:MembershipInference",
        "singling_out": "genwright.evaluation.metrics.privacy:SinglingOut",
        "attribute_inference": "genwright.evaluation.metrics.privacy:AttributeInference",
        "columns": "genwright.evaluation.metrics.tables:ColumnShapes",
        "pairs": "genwright.evaluation.metrics.tables:ColumnPairs",
        "tstr": "genwright.evaluation.metrics.usefulness:TrainSyntheticTestReal",
        "validity": "genwright.evaluation.metrics.rules:Validity",
        "constraints": "genwright.evaluation.metrics.rules:Constraints",
        "novel_ngrams": "genwright.evaluation.metrics.texts:NovelNgrams",
        "longest_copy": "genwright.evaluation.metrics.texts:LongestCopy",
        "repetition": "genwright.evaluation.metrics.texts:Repetition",
        "distinct": "genwright.evaluation.metrics.texts:DistinctWords",
        "known_words": "genwright.evaluation.metrics.texts:Spelling",
        "lengths": "genwright.evaluation.metrics.texts:Lengths",
        "ngram_js": "genwright.evaluation.metrics.texts:CharacterNgramDistance",
        "mauve": "genwright.evaluation.metrics.mauve:Mauve",
        "spectrum": "genwright.evaluation.metrics.images:Spectrum",
        "pixels": "genwright.evaluation.metrics.images:PixelHistogram",
        "sharpness": "genwright.evaluation.metrics.images:Sharpness",
        "discriminative": "genwright.evaluation.metrics.series:Discriminative",
        "predictive": "genwright.evaluation.metrics.series:Predictive",
        "cross_correlation": "genwright.evaluation.metrics.series:CrossCorrelation",
        "autocorrelation": "genwright.evaluation.metrics.series:Autocorrelation",
        "tails": "genwright.evaluation.metrics.series:Tails",
        "series_spectrum": "genwright.evaluation.metrics.series:SeriesSpectrum",
        "mase": "genwright.evaluation.metrics.series:MeanScaledError",
        "tile_patterns": "genwright.evaluation.metrics.tiles:TilePatterns",
        "playable": "genwright.evaluation.metrics.tiles:Playable",
        "level_variety": "genwright.evaluation.metrics.tiles:LevelVariety",
        "level_control": "genwright.evaluation.metrics.tiles:LevelControl",
        "valid_molecules": "genwright.evaluation.metrics.molecules:ValidMolecules",
        "unique_molecules": "genwright.evaluation.metrics.molecules:UniqueMolecules",
        "new_molecules": "genwright.evaluation.metrics.molecules:NewMolecules",
        "internal_diversity": "genwright.evaluation.metrics.molecules:InternalDiversity",
        "nearest_molecule": "genwright.evaluation.metrics.molecules:NearestMolecule",
        "scaffolds": "genwright.evaluation.metrics.molecules:Scaffolds",
        "molecular_properties": "genwright.evaluation.metrics.molecules:MolecularProperties",
        "property_control": "genwright.evaluation.metrics.molecules:PropertyControl",
        "pitch_classes": "genwright.evaluation.metrics.music:PitchClasses",
        "rhythms": "genwright.evaluation.metrics.music:Rhythms",
        "out_of_key": "genwright.evaluation.metrics.music:OutOfKey",
        "parallels": "genwright.evaluation.metrics.music:Parallels",
        "music_repetition": "genwright.evaluation.metrics.music:MusicRepetition",
        "transposed_copies": "genwright.evaluation.metrics.music:TransposedCopies",
        "key_control": "genwright.evaluation.metrics.music:KeyControl",
    },
}


@cache
def _table(kind: str) -> dict[str, str]:
    """All names of a kind, built in and from installed packages; a clash is an error."""
    table = dict(KINDS[kind])
    for point in entry_points(group=f"genwright.{kind}"):
        if point.name in table and table[point.name] != point.value:
            raise RecipeError(
                f"two packages offer {kind} {point.name!r}: {table[point.name]} and {point.value}; "
                f"uninstall one of them",
                code="name-clash",
            )
        table[point.name] = point.value
    return table


def names(kind: str) -> list[str]:
    """The registered names of a kind, in the order they were written down."""
    return list(_table(kind))


def resolve(kind: str, name: str) -> type[Any]:
    """The class behind a name. Raises `RecipeError` for an unknown name."""
    table = _table(kind)
    if name not in table:
        raise RecipeError(
            f"there is no {name!r} among the {kind}; {suggest(name, table)}", code="unknown-name"
        )
    module, _, attribute = table[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, type), f"{table[name]} is not a class"
    return found


def options(factory: Any) -> Mapping[str, inspect.Parameter]:
    """The options of a class or function: its keyword-only parameters, in order."""
    return _options(factory)  # a type checker takes no class for what a cache can look up


@cache
def _options(factory: Any) -> Mapping[str, inspect.Parameter]:
    parameters = inspect.signature(factory, eval_str=True).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def coerce(factory: Any, given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Check `given` against the options of `factory` and bring each value to its declared type.

    `where` is how a person addresses these options (`"family"` for `--set family.beta=4`).
    Raises `RecipeError` with the nearest known name, or with the type that was wanted.
    """
    return check(given, {name: p.annotation for name, p in options(factory).items()}, where=where)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """What brings a value to a type."""
    from pydantic import ConfigDict, TypeAdapter

    # A number is a text where only a text is wanted: a folder may be called 2024.
    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False, coerce_numbers_to_str=True))


def check(given: Mapping[str, Any], types: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Bring each value of `given` to the type of its name. Raises `RecipeError`."""
    from pydantic import ValidationError

    result = {}
    for name, value in given.items():
        full = f"{where}.{name}" if where else name
        if name not in types:
            raise RecipeError(f"unknown option {full}; {suggest(name, types)}", code="unknown-option")
        hint = types[name]
        faults: set[str] = set()
        try:
            result[name] = _adapter(hint).validate_python(_listed(value, hint))
        except ValidationError as error:
            faults = {fault["type"] for fault in error.errors()}
        # pydantic takes true for 1, and a person who types it means something else.
        if faults or (isinstance(value, bool) and not isinstance(result[name], bool)):
            beyond, choice = faults & _BEYOND, faults == {"literal_error"}
            raise RecipeError(
                f"{full} cannot be {value!r}: wanted {_words(hint)}",
                code="out-of-range" if beyond else "unknown-choice" if choice else "wrong-type",
            )
        if isinstance(result[name], float) and abs(result[name]) > MOST:
            raise RecipeError(
                f"{full} cannot be {value!r}: wanted {_words(hint)}, no larger than {MOST:g}",
                code="out-of-range",
            )
    return result


def _listed(value: Any, hint: Any) -> Any:
    """A text `a,b` as a list of what its commas separate, where one is wanted and no text would do."""
    kinds = (hint, *get_args(hint))
    lists = any(get_origin(kind) is list for kind in kinds) and str not in kinds
    return [part.strip() for part in value.split(",")] if lists and isinstance(value, str) else value


MOST = 1e38
"""Of an option that is a number: tensors have 32 bits."""
_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    type(None): "",
}


_BEYOND = {"greater_than_equal", "greater_than", "less_than_equal", "less_than", "finite_number"}
"""What pydantic calls a value of the right type beyond a bound."""
_BOUNDS = {Ge: "{} or more", Gt: "above {}", Le: "{} or less", Lt: "below {}"}


def _words(hint: Any) -> str:
    """A type as a person would say it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [_BOUNDS[type(b)].format(*astuple(b)) for b in parts[1:] if type(b) in _BOUNDS]
        return ", ".join([_words(parts[0]), *([" and ".join(bounds)] if bounds else [])])
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " or ".join(filter(None, map(_words, parts)))
    if origin is tuple and Ellipsis not in parts:
        return f"[{', '.join(map(_words, parts))}]"
    if origin in (list, tuple):
        return f"a list, each {_words(parts[0])}"
    if origin is dict:
        return f"a table of names, each with {_words(parts[1])}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def build(kind: str, name: str, given: Mapping[str, Any], *injected: Any, where: str) -> Any:
    """Make the plug-in `name`: `injected` positionally, then the checked options."""
    factory = resolve(kind, name)
    return factory(*injected, **coerce(factory, given, where=where))
