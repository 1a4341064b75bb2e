import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from curator.errors import RunDirectoryError
from curator.report import write_report
from curator.report.figures import dose_figure, history_figure, ladder_figure, off_scale
from curator.report.page import render
from curator.rundir import read_json, write_json

SHAPES = ["classification", "regression", "real_only", "nulls"]


class Seen(HTMLParser):
    """What a browser would see: tags with their attributes, and text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self._words, self._inside = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in {"script", "style"} else self._inside

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if not self._inside:
            self._words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self._words))


def figure_specs(page):
    found = re.search(r'<script type="application/json" id="figure-specs">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_results_is_written_as_a_page(make_run, shape):
    directory = make_run(shape)
    write_report(directory)
    seen = Seen(directory.report.read_text(encoding="utf-8"))
    results = read_json(directory.results)
    assert results["verdict"]["sentence"] in seen.text
    assert all(f"Note: {remark}." in seen.text for remark in results["remarks"])
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", seen.text)
    assert not list(directory.path.glob("*.part"))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_arm_and_slice_is_shown_and_a_skipped_arm_says_why(make_run, shape):
    directory = make_run(shape)
    results, text = read_json(directory.results), Seen(render(directory)).text
    for arm in results["arms"]:
        assert arm["name"] in text
        assert arm["skipped"] is None or f"not run: {arm['skipped']}" in text
    for s in results["slices"]:
        assert s["name"] in text
        assert s["reason"] in text


def test_figures_stand_beside_their_intervals(make_run):
    text = Seen(render(make_run())).text
    assert "log_loss, with the mix 0.4100 0.3600 to 0.4600" in text
    assert "gain on the holdout +0.0800 +0.0300 to +0.1300" in text
    assert "gain on the folds +0.0500 −0.0100 to +0.1100" in text
    assert "16 % lower; lower is better" in text.replace("\u00a0", " ")


def test_names_from_the_data_are_text_never_markup(make_run, nasty):
    page = render(make_run(arms=[], slices=[], decisions=[nasty], notes=[nasty], name="x"))
    seen = Seen(page)
    assert nasty in seen.text
    assert nasty not in page
    assert sum(tag == "script" for tag, _ in seen.tags) == 3  # figure data, Plotly, the page's own


def test_names_in_figures_cannot_end_the_script_that_holds_them(make_run, nasty):
    directory = make_run()
    results = read_json(directory.results)
    results["arms"][-2]["name"] = nasty
    write_json(directory.results, results)
    page = render(directory)
    assert nasty not in page
    ladder = figure_specs(page)["figure-ladder"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in ladder["layout"]["yaxis"]["ticktext"]


def test_nothing_is_loaded_from_anywhere(make_run):
    page = render(make_run())
    for tag, attributes in Seen(page).tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert not re.match(r"(?i)(https?:)?//", attributes.get(name) or ""), (tag, attributes)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ({"name": "better", "emitted": "mix"}, "Adding synthetic rows makes the model better."),
        ({"name": "not_worse", "emitted": "mix"}, "Adding synthetic rows does no harm, and is not shown to help."),
        (
            {"name": "undecided", "emitted": "mix"},
            "The holdout cannot tell whether adding synthetic rows helps; "
            "folds and holdout together say it does, so the mix is emitted.",
        ),
        (
            {"name": "undecided", "emitted": "mix", "joined": {"mean": -0.002, "low": -0.004, "high": 0.001, "n": 9}},
            "The holdout cannot tell whether adding synthetic rows helps; "
            "folds and holdout together say that it does no harm, so the mix is emitted.",
        ),
        (
            {"name": "undecided", "emitted": "real_only"},
            "The holdout cannot tell whether adding synthetic rows helps, so the dataset is the real rows alone.",
        ),
        (
            {"name": "worse", "emitted": "real_only"},
            "Adding synthetic rows makes the model worse, so the dataset is the real rows alone.",
        ),
    ],
)
def test_the_headline_says_what_was_found_and_what_was_done(make_run, verdict, sentence):
    directory = make_run()
    results = read_json(directory.results)
    results["verdict"] |= verdict
    write_json(directory.results, results)
    page = render(directory)
    assert f"<h1>{sentence}</h1>" in page
    assert f'class="badge full {verdict["name"]}"' in page


def test_a_harmed_slice_is_why_a_better_mix_is_not_emitted(make_run):
    directory = make_run()
    results = read_json(directory.results)
    results["verdict"] |= {"name": "better", "emitted": "real_only"}
    results["slices"][0]["verdict"] = "worse"
    write_json(directory.results, results)
    page = render(directory)
    assert "makes the model better overall, but a rare slice gets worse: the dataset is the real rows alone." in page
    assert "Emitted: all real rows, as they are." in page


def test_where_no_mix_was_selected_there_is_no_scale_of_a_gain_that_is_nothing(make_run):
    page = render(make_run("real_only"))
    assert "<h1>No mix was found to beat the real rows alone, so the dataset is the real rows.</h1>" in page
    assert 'class="scale"' not in page
    assert 'class="scale"' in render(make_run())


def test_rows_needed_are_shown_when_undecided(make_run):
    assert "rows needed to decide 11,621" in Seen(render(make_run("regression"))).text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(None, None, "more groups would"), (0.0, 0.0, "the same on every holdout row"), (-0.3, 0.1, "no number of rows")],
)
def test_where_no_number_of_rows_is_known_the_page_says_why(make_run, low, high, said):
    directory = make_run("regression")
    results = read_json(directory.results)
    results["verdict"] |= {"name": "undecided", "rows_needed": None}
    results["verdict"]["difference"] |= {"low": low, "high": high}
    write_json(directory.results, results)
    assert said in Seen(render(directory)).text


def test_a_baseline_that_beats_the_mix_is_named(make_run):
    directory = make_run()
    results = read_json(directory.results)
    next(a for a in results["arms"] if a["name"] == "relabelled_5x")["holdout_delta"]["mean"] = 0.2
    write_json(directory.results, results)
    text = Seen(render(directory)).text
    assert re.search(r"best baseline on the holdout is relabelled_5x .*ahead of the selected plan", text)


def test_candidates_are_counted_by_source_from_the_ledger_or_in_all_without_it(make_run):
    with_ledger = Seen(render(make_run())).text
    assert "realism too easy to tell from a real row 0 1 1" in with_ledger
    without = Seen(render(make_run("nulls", ledger=False))).text
    assert "realism too easy to tell from a real row 77" in without


def test_the_manifest_is_shown_when_it_is_there(make_run):
    directory = make_run()
    assert "in manifest.json" in Seen(render(directory)).text
    content = {
        "finished": "2026-01-02T03:04:05+00:00", "seconds": {"pools": 1.25}, "python": "3.11.7",
        "packages": {"sdv": {"version": "2.0.0", "licence": "BUSL-1.1"}},
    }  # fmt: skip
    write_json(directory.manifest, content)
    text = Seen(render(directory)).text
    assert "2026-01-02T03:04:05+00:00" in text
    assert "sdv 2.0.0" in text


def test_the_licence_of_sdv_is_told_when_one_of_its_synthesizers_was_used(make_run):
    assert "Business Source licensed" in render(make_run())
    without = {"synthesizers": [{"name": "neighbours"}]}
    assert "Business Source licensed" not in render(make_run("nulls", recipe=without))


def test_a_run_without_recipe_or_deltas_still_has_a_page(make_run, no_deltas):
    page = render(make_run(recipe=None, trials=no_deltas, teacher={}))
    assert set(figure_specs(page)) == {"figure-ladder"}


def test_an_empty_directory_is_refused_in_a_sentence(make_run):
    directory = make_run()
    directory.trials.unlink()
    with pytest.raises(RunDirectoryError, match=r"holds no trials\.parquet"):
        write_report(directory)


def test_the_ladder_has_the_best_on_top_and_no_bar_for_an_endless_interval(make_run):
    results = read_json(make_run().results)
    results["arms"][2]["holdout_delta"] |= {"low": None, "high": None}
    spec = ladder_figure(results).spec
    assert spec["layout"]["yaxis"]["ticktext"] == ["neighbours_naive_1x", "real_tuned", "relabelled_5x", "curated"]
    baselines = next(t for t in spec["data"] if t["name"] == "holdout: baselines")
    assert baselines["error_x"]["array"] == [pytest.approx(0.05), 0, pytest.approx(0.05)]


def test_a_ruinous_trial_is_drawn_at_the_edge(make_run):
    import pandas as pd

    directory = make_run()
    trials = pd.read_parquet(directory.trials)
    figure = history_figure(trials, read_json(directory.results))
    shown = next(t for t in figure.spec["data"] if t["name"] == "trial")
    assert min(shown["y"]) > -0.5
    assert "gain −9.000" in shown["hovertext"][-1]
    assert off_scale(trials) == 1


def test_best_so_far_leaves_out_pruned_trials(make_run):
    import pandas as pd

    directory = make_run()
    trials = pd.read_parquet(directory.trials).assign(delta=[0.0, 0.02, 0.9, 0.05, 0.01])
    figure = history_figure(trials, read_json(directory.results))
    assert figure.spec["data"][0]["y"] == [0.0, 0.02, 0.05, 0.05]


def test_figures_are_valid_plotly(make_run):
    import plotly.graph_objects as go

    whole = {"mass": 0.5, "mean": 0.01, "low": -0.01, "high": 0.03}
    points = [whole, {"mass": 1.0, "mean": 0.02, "low": None, "high": None}]
    specs = figure_specs(render(make_run(dose={"neighbours": points})))
    assert specs
    for spec in specs.values():
        for layout in (spec["layout"], spec["narrow"]):
            go.Figure({"data": spec["data"], "layout": layout})


def test_dose_response_is_shown_only_where_a_run_has_it(make_run):
    assert dose_figure(read_json(make_run().results)) is None
    assert 'id="dose"' not in render(make_run("regression"))
    points = [{"mass": 0.5, "mean": 0.01, "low": None, "high": None}]
    assert 'id="dose"' in render(make_run("nulls", dose={"neighbours": points}))


def test_the_same_run_gives_the_same_page(make_run):
    directory = make_run()
    assert render(directory) == render(directory)


CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium executable is found")
@pytest.mark.parametrize(("width", "shape"), [(1200, "classification"), (1200, "nulls"), (500, "regression")])
def test_a_browser_draws_the_figures(make_run, tmp_path, width, shape):
    directory = make_run(shape)
    write_report(directory)
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--virtual-time-budget=10000", f"--window-size={width},1000",
    ]  # fmt: skip

    def run(profile, *what):
        command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / profile}", *what, directory.report.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout

    tags = Seen(run("dom", "--dump-dom")).tags
    drawn = [a for tag, a in tags if tag == "svg" and "main-svg" in (a.get("class") or "").split()]
    holders = [a["id"] for tag, a in tags if tag == "div" and "js-plotly-plot" in (a.get("class") or "").split()]
    ladder = ["figure-ladder"] if shape != "nulls" else []
    assert holders == [*ladder, "figure-history", "figure-mass"]
    assert len(drawn) >= len(holders)
    assert all(float(a["width"]) <= width for a in drawn if a.get("width"))
    picture = tmp_path / "page.png"
    run("shot", f"--screenshot={picture}")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
