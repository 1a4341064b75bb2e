"""The recipe: what a user may write, key by key, with defaults that are the best known general choice."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from curator.recipe.base import Model, off, repeated
from curator.recipe.origin import Origin
from curator.recipe.privacy import PrivacyBounds
from curator.recipe.task import EstimatorSpec, TaskSpec
from curator.recipe.vocabulary import vocabulary_of
from curator.records import Kind

Search = Literal["search"]
Threshold = Annotated[float, Field(ge=0, lt=1)] | Literal["search", "off"]

# What names a folder.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
SYNTHESIZER_KEYS = frozenset({"name", "id", "per_class"})


class DataSpec(Model):
    """Where the table is and what its columns are."""

    source: str | tuple[str, ...] | None = Field(
        None, description="File, glob, fsspec URL or SQLAlchemy URL, relative to the recipe; or a list of files."
    )
    query: str | None = Field(None, description="SQL to run when `source` is an SQLAlchemy URL.")
    table: str | None = Field(None, description="Table to read when `source` is an SQLAlchemy URL.")
    target: str = Field(description="The column to predict.")
    drop: tuple[str, ...] = Field((), description="Columns to leave out altogether.")
    types: dict[str, Kind] = Field(
        default_factory=dict, description="Column kinds, where inference is to be overruled."
    )
    missing: tuple[str, ...] = Field((), description="Texts that mean a missing value, beside the usual ones.")
    group: str | None = Field(None, description="Rows with the same value here never straddle a split.")
    time: str | None = Field(None, description="The holdout is the latest rows by this column; folds go forward.")
    weight: str | None = Field(None, description="An existing sample-weight column.")
    budget: Annotated[int, Field(ge=100)] | Literal["auto"] | None = Field(
        "auto", description="Rows used for synthesis and search; auto: all up to 50,000. The dataset has all rows."
    )
    license: str | None = Field(None, description="The licence of the table, for the data card.")
    provenance: Literal["auto", "real", "unknown"] = Field(
        "auto", description="Which rows are real; auto: all, but where columns of an earlier output say otherwise."
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source, whether one is named or several."""
        return self.source if isinstance(self.source, tuple) else () if self.source is None else (self.source,)

    @field_validator("missing", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        # `missing: [-999]` is the natural way to write it.
        return (
            [str(v) if isinstance(v, int | float) else v for v in value] if isinstance(value, list | tuple) else value
        )

    @model_validator(mode="after")
    def _consistent(self) -> DataSpec:
        if self.query is not None and self.table is not None:
            raise ValueError("query and table are both given; keep one of them")
        if isinstance(self.source, tuple) and (not self.source or self.query or self.table):
            raise ValueError("source is a list: it names one file at least, and goes without query and table")
        if self.target in self.drop:
            raise ValueError(f"the target {self.target!r} is also listed in drop; take it out of one of them")
        for role in ("group", "time", "weight"):
            if getattr(self, role) is not None and getattr(self, role) in self.drop:
                raise ValueError(
                    f"{getattr(self, role)!r} is both {role} and listed in drop; take it out of one of them"
                )
        roles = [c for c in (self.target, self.group, self.time, self.weight) if c is not None]
        twice = repeated(roles)
        if twice is not None:
            raise ValueError(f"column {twice!r} is given more than one role among target, group, time and weight")
        return self


class SynthesizerSpec(Model):
    """One source of candidate rows. Keys beside the named ones go to the synthesizer's constructor."""

    name: str
    id: str | None = Field(None, description="Its name in results, where one synthesizer is used twice.")
    per_class: bool = Field(default=False, description="One fit per class, the target put back.")

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def params(self) -> dict[str, Any]:
        """Constructor arguments of the synthesizer."""
        return dict(self.model_extra or {})

    @property
    def source(self) -> str:
        """Its name in plans, results and the `origin` column."""
        return self.id or (f"{self.name}_per_class" if self.per_class else self.name)

    @property
    def variants(self) -> tuple[SynthesizerSpec, ...]:
        """A source a number of epochs, where several are given: the ratio of each then says how long to train."""
        epochs = self.params.get("epochs")
        if not isinstance(epochs, list | tuple):
            return (self,)
        copies = {e: self.model_copy(update={"id": f"{self.source}_{e}"}) for e in epochs}
        for e, copy in copies.items():
            copy.__pydantic_extra__ = {**self.params, "epochs": e}
        return tuple(copies.values())

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> SynthesizerSpec:
        if self.source in {"real", "unknown"}:
            raise ValueError(f"a source cannot be called {self.source!r}; give it another id")
        if self.id is not None and not re.fullmatch(NAME, self.id):
            raise ValueError(
                f"the id {self.id!r} is not made of up to 64 letters, digits, '.', '_' and '-', beginning with one of "
                "the first two"
            )
        if self.per_class and self.name == "smote":
            raise ValueError("smote works within classes already; leave per_class out")
        epochs = self.params.get("epochs")
        if isinstance(epochs, list | tuple):
            if not epochs:
                raise ValueError("epochs is an empty list; name a number of epochs or several")
            odd = [e for e in epochs if not isinstance(e, int) or isinstance(e, bool) or e < 1]
            if odd:
                raise ValueError(f"epochs must be whole numbers of at least 1; got {odd[0]!r}")
        for variant in self.variants:
            vocabulary_of(info).check_synthesizer(variant.name, variant.params)
        return self


class AgreementSpec(Model):
    """Agreement with more than a threshold: the teacher that judges, and that relabels."""

    threshold: Threshold = "search"
    teacher: tuple[EstimatorSpec | Literal["library"], ...] = Field(
        ("library",),
        description="Models that the teacher is chosen from, by name or import path; library: the built-in ones.",
    )

    _read_off = field_validator("threshold", mode="before")(off)

    @field_validator("teacher", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        words = (v for v in values if isinstance(v, str) and v != "library")
        # A model in one word is a short name, or an import path, which has a dot.
        specs = {w: {"class": w} if "." in w else {"name": w} for w in words}
        return [specs.get(v, v) if isinstance(v, str) else v for v in values]

    @field_validator("teacher")
    @classmethod
    def _known(cls, value: tuple[EstimatorSpec | str, ...], info: ValidationInfo) -> Any:
        if not value:
            raise ValueError("is empty; name a model, or leave it out")
        if value.count("library") > 1:
            raise ValueError("library is named twice")
        for spec in value:
            if isinstance(spec, EstimatorSpec):
                vocabulary_of(info).check_estimator(spec)
        return value


class FilterSpec(Model):
    """Least score of a candidate, by scorer; `search` lets the study choose, `off` keeps all.

    Scorers of other packages (entry point ``curator.scorers``) are named beside these four.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Threshold] = Field(init=False)

    realism: Threshold = "search"
    agreement: Threshold | AgreementSpec = "search"
    novelty: Threshold = "search"
    typicality: Threshold = "search"

    @model_validator(mode="before")
    @classmethod
    def _read_off(cls, values: Any) -> Any:
        return {k: off(v) for k, v in values.items()} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> FilterSpec:
        for name in self.model_extra or {}:
            vocabulary_of(info).check_scorer(name)
        return self

    @property
    def settings(self) -> dict[str, float | Literal["search", "off"]]:
        """Every scorer's threshold, by name."""
        own = self.agreement.threshold if isinstance(self.agreement, AgreementSpec) else self.agreement
        return {**self.model_dump(), "agreement": own}

    @property
    def teacher(self) -> tuple[EstimatorSpec | Literal["library"], ...]:
        """The models that the teacher is chosen from."""
        return self.agreement.teacher if isinstance(self.agreement, AgreementSpec) else ("library",)


class SliceSpec(Model):
    """A declared rare slice: the rows for which the expression is true."""

    name: str = Field(min_length=1)
    where: str = Field(min_length=1, description="A pandas query expression over the table's columns.")


Power = Annotated[float, Field(ge=0, le=1)] | Literal["search", "off"]


class WeightSpec(Model):
    """How rows are weighted; each: a number, `search`, or off."""

    classes: Power = Field("search", description="Exponent of the inverse class share.")
    effective_number: Annotated[float, Field(gt=0, lt=1)] | Literal["search", "off"] = Field(
        "off", description="In place of it: beta of the effective number of a class's rows, .9 to .9999."
    )
    errors: Annotated[float, Field(ge=0, le=10)] | Literal["search", "off"] = Field(
        "off", description="Real rows weigh 1 + this times the teacher's error out of fold."
    )
    density: Power = Field("off", description="Synthetic rows weigh by their odds of being real to this power.")

    _read_off = field_validator("classes", "effective_number", "errors", "density", mode="before")(off)

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, values: Any) -> Any:
        if isinstance(values, dict) and off(values.get("effective_number", "off")) != "off":
            if off(values.get("classes", "off")) != "off":
                raise ValueError("classes and effective_number both weigh by class; leave one of them out")
            return {**values, "classes": "off"}
        return values


class RareSpec(Model):
    """Which rare cases must not get worse, and how they are weighted."""

    slices: tuple[SliceSpec, ...] = ()
    discover: bool = Field(
        default=True, description="Also watch rare classes and categories, tails, isolated rows, regions of high loss."
    )
    feed: bool = Field(
        default=False, description="Also make candidates within the slices: a source of its own, named slices."
    )
    guard: bool = Field(
        default=True, description="Leave mixes out that make a slice worse beyond the tolerance, and emit none."
    )
    weights: Power | WeightSpec = Field(
        "search", description="Exponent of the inverse class share in row weights; or several kinds of weights."
    )
    tolerance: float = Field(
        0.01, ge=0, lt=1, description="How much worse is not worse yet: of losses and errors a share, of scores points."
    )

    _read_off = field_validator("weights", mode="before")(off)

    @property
    def weighting(self) -> WeightSpec:
        """The weights in full."""
        return self.weights if isinstance(self.weights, WeightSpec) else WeightSpec(classes=self.weights)

    @field_validator("slices")
    @classmethod
    def _unique(cls, value: tuple[SliceSpec, ...]) -> tuple[SliceSpec, ...]:
        twice = repeated([s.name for s in value])
        if twice is not None:
            raise ValueError(f"two slices are called {twice!r}; give each its own name")
        return value


class IntegritySpec(Model):
    """What the dataset may be made of: a mix that breaks a gate is no candidate."""

    min_real_share: float = Field(0.0, ge=0, lt=1, description="Least share of real rows among all different rows.")
    min_real_weight_share: float = Field(0.0, ge=0, lt=1, description="Least share of the weight that real rows have.")
    max_slice_weight_share: float = Field(
        1.0, ge=0, le=1, description="Largest share of the weight of any slice that synthetic rows may have."
    )
    rare_coverage: float = Field(
        1.0, ge=0, le=1,
        description="Least share of the rare categories, and of the rare pairs of them, that the dataset must hold.",
    )  # fmt: skip
    tail_mass: float = Field(
        0.0, ge=0, le=1, description="Least weight of numbers beyond the real 1 and 99 % quantiles, to real rows' own."
    )
    privacy: PrivacyBounds = Field(PrivacyBounds(), description="What attacks may achieve where rows leave alone.")
    max_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="No row of a later generation is emitted: 0 real, 1 made from real rows, 2 made from those."
    )
    anchor: str | None = Field(None, description="File or glob of real rows that always belong to the table.")
    earlier: Literal["test", "retire"] = Field(
        "test", description="Synthetic rows of an earlier output: kept where new real rows show that they help, or not."
    )


class SearchSpec(Model):
    """The budget of the study, and where it runs."""

    trials: int = Field(100, ge=1, le=100_000)
    timeout: float | None = Field(None, gt=0, description="Seconds after which no new trial starts.")
    seed: int = Field(0, ge=0, lt=2**31)
    jobs: int | Literal["auto"] = Field("auto", description="Worker processes; auto: the cores this process may use.")
    max_ratio: Annotated[float, Field(gt=0, le=50)] | Literal["auto"] = Field(
        "auto", description="Most synthetic rows per real row; auto: 10 up to 2,000 rows, 5 from 4,000 rows on."
    )
    synthetic_weight: Annotated[float, Field(gt=0, le=10)] | Literal["search"] = Field(
        "search", description="Weight of a synthetic row where a real row has 1."
    )
    class_tilt: Annotated[float, Field(ge=0, le=1)] | Literal["search", "off"] = Field(
        "search", description="0 (or off) draws classes in their real proportion, 1 all alike."
    )
    pruning: bool = Field(default=True, description="Stop a trial early when a paired test says it cannot win.")
    early_stop: bool = Field(
        default=True, description="End the search when more trials are not expected to change what is selected."
    )
    average: int = Field(
        1, ge=1, le=50, description="Take the mean of so many of the best plans, where it does as well as the best."
    )
    scheduler: str | None = Field(None, description="A Dask scheduler, e.g. tcp://host:8786, instead of local workers.")
    storage: str | None = Field(None, description="An Optuna storage URL instead of study.db in the run directory.")

    _read_off = field_validator("class_tilt", mode="before")(off)

    @field_validator("jobs")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"must be at least 1, or auto; got {value}")
        return value


class OutputSpec(Model):
    """Where the run directory goes and what is emitted."""

    directory: str = Field("runs", description="Parent of run directories; relative to the recipe.")
    format: Literal["parquet", "csv"] = Field("parquet", description="csv is written beside the parquet file.")
    policy: Literal["certified", "best", "always"] = Field(
        "certified",
        description="certified: the mix if shown to do no harm; best: if holdout and folds lean to it; always: anyway.",
    )
    labels: Literal["weighted", "sampled", "argmax"] = "weighted"
    export: Literal["hybrid", "synthetic_only"] = Field(
        "hybrid", description="synthetic_only: also synthetic.parquet, synthetic rows alone, if the privacy gate opens."
    )
    explain: bool = Field(
        default=True,
        description="Also measure how many real rows the gain is worth, each source's dose-response, and other models.",
    )


class Recipe(Model):
    """A whole recipe. Build one with `curator.Recipe.model_validate({...})` or read one with `load_recipe`."""

    version: Literal[1] = 1
    name: str = Field("dataset", pattern=f"^{NAME}$")
    data: DataSpec
    task: TaskSpec = TaskSpec()
    synthesizers: tuple[SynthesizerSpec, ...] = (
        SynthesizerSpec(name="neighbours"),
        SynthesizerSpec(name="gaussian_copula"),
    )
    labels: Literal["keep", "filter", "relabel", "search"] = "search"
    filters: FilterSpec = FilterSpec()
    rare: RareSpec = RareSpec()
    integrity: IntegritySpec = IntegritySpec()
    search: SearchSpec = SearchSpec()
    output: OutputSpec = OutputSpec()

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @field_validator("synthesizers", mode="before")
    @classmethod
    def _short_names(cls, value: Any) -> Any:
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list | tuple) else value

    @field_validator("synthesizers")
    @classmethod
    def _distinct(cls, value: tuple[SynthesizerSpec, ...]) -> tuple[SynthesizerSpec, ...]:
        twice = repeated([s.source for spec in value for s in spec.variants])
        if twice is not None:
            raise ValueError(f"two synthesizers are called {twice!r}; give one of them another id")
        return value

    @property
    def origin(self) -> Origin:
        """The file it came from, with line numbers; empty for recipes built in Python."""
        return self._origin

    def with_origin(self, origin: Origin) -> Recipe:
        """Return the recipe with the place it came from."""
        copy = self.model_copy()
        copy._origin = origin  # noqa: SLF001  # its own private attribute
        return copy
