"""The task's part of a recipe: what is predicted, with which models, and how that is judged."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from curator.recipe.base import Model, repeated
from curator.recipe.vocabulary import vocabulary_of


class EstimatorSpec(Model):
    """The downstream model: a short name with settings, or a class by its import path."""

    name: str | None = Field(None, description="A short name, e.g. hist_gradient_boosting.")
    class_: str | None = Field(None, alias="class", description="Import path of a scikit-learn-compatible class.")
    params: dict[str, Any] = Field(default_factory=dict, description="Constructor arguments.")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one(self) -> EstimatorSpec:
        if (self.name is None) == (self.class_ is None):
            raise ValueError("give either a short `name` or a `class`, e.g. {class: lightgbm.LGBMClassifier}")
        return self

    @property
    def label(self) -> str:
        """The name to show."""
        return self.name or str(self.class_)


class TaskSpec(Model):
    """The downstream task and how it is judged."""

    type: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    metric: tuple[str, ...] = Field(
        ("auto",),
        description="Name of the metric; auto is log_loss, at regression rmse. Of several, the first is what is "
        "certified, and the others choose among mixes that it cannot tell apart.",
    )
    positive: str | int | float | bool | None = Field(
        None, description="Positive class of binary metrics; by default the rarer class."
    )
    estimator: tuple[EstimatorSpec, ...] = Field(
        (EstimatorSpec(name="hist_gradient_boosting"),),
        description="The model to train. Of several, the mix is searched for their mean rank, and each may refuse it.",
    )
    holdout: float = Field(0.25, gt=0, lt=0.9, description="Share of rows kept for certification.")
    folds: int = Field(5, ge=2, le=50)
    repeats: int | Literal["auto"] = Field("auto", description="Repetitions of the folds; auto: more for small tables.")
    tune: bool | dict[str, tuple[Any, ...]] = Field(
        default=False,
        description="Tune the estimator on the real rows, and again together with the mix. Instead of true, the values "
        "that each setting may have: three numbers or more above zero span a range, others are choices.",
    )

    @field_validator("estimator", mode="before")
    @classmethod
    def _short_names(cls, value: Any) -> Any:
        return [_spelled_out(v) for v in value] if isinstance(value, list | tuple) else [_spelled_out(value)]

    @field_validator("estimator")
    @classmethod
    def _known_estimators(cls, value: tuple[EstimatorSpec, ...], info: ValidationInfo) -> tuple[EstimatorSpec, ...]:
        if not value:
            raise ValueError("is empty; name a model, or leave it out")
        twice = repeated([v.label for v in value])
        if twice is not None:
            raise ValueError(f"{twice} is named twice; keep one of them")
        for spec in value:
            vocabulary_of(info).check_estimator(spec)
        return value

    @field_validator("metric", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]

    @field_validator("tune")
    @classmethod
    def _known_settings(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict):
            odd = [v for values in value.values() for v in values if not _may_be_tuned(v)]
            if odd:
                raise ValueError(f"the values of a setting must be numbers, texts, true, false or null; got {odd[0]!r}")
            if not value or any(len(set(values)) < 2 for values in value.values()):
                raise ValueError("names the settings to tune with two values or more each, e.g. {max_depth: [3, 6, 9]}")
            for spec in info.data.get("estimator", ()):
                twice = sorted(value.keys() & spec.params.keys())
                if twice:
                    raise ValueError(f"{twice[0]} is also among the params of {spec.label}; take it out of one of them")
                tried = {name: values[0] for name, values in value.items()}
                vocabulary_of(info).check_estimator(spec.model_copy(update={"params": {**spec.params, **tried}}))
        if value and len(info.data.get("estimator", ())) > 1:
            raise ValueError("works with one estimator; with several leave it out, or give each its settings in params")
        return value

    @field_validator("metric")
    @classmethod
    def _known_metrics(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value:
            raise ValueError("is empty; name a metric, or leave it out")
        twice = repeated(value)
        if twice is not None:
            raise ValueError(f"{twice} is named twice; keep one of them")
        for name in value:
            if name != "auto":
                vocabulary_of(info).check_metric(name, info.data.get("type", "auto"))
        return value

    @field_validator("repeats")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 20:
            raise ValueError(f"must be between 1 and 20, or auto; got {value}")
        return value


def _may_be_tuned(value: Any) -> bool:
    return not isinstance(value, list | tuple | dict | set) and not (isinstance(value, float) and not isfinite(value))


def _spelled_out(value: Any) -> Any:
    """Return the long form of a model in one word, or of settings for the default one."""
    if isinstance(value, str):
        return {"class": value} if "." in value else {"name": value}
    if isinstance(value, dict) and "params" in value and not value.keys() & {"name", "class"}:
        return {"name": "hist_gradient_boosting", **value}
    return value
