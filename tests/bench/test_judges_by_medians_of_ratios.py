"""From the figures of all rounds to what is met and what is not."""
import argparse

import plot
import record
import rounds
import table
import verdict
import works
from setting import SETTINGS

PINNED, TWO = SETTINGS
WORK = {work.name: work for work in works.WORKS}


def found(figure, **servers):
    return {name: [{figure: value} for value in values] for name, values in servers.items()}


def one_line(name, figure, setting=PINNED, **servers):
    return next(line for line in verdict.lines(setting, WORK[name], found(figure, **servers)) if line.figure == figure)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    """The second round was disturbed, for both alike: the ratio of the medians would be 1.2."""
    assert verdict.ratio([4, 80, 6], [5, 100, 5]) == 0.8
    assert verdict.ratio([4, 9, 9], [8, 3, 9]) == 1
    assert verdict.median([1, 100, 2]) == 2


def test_a_round_without_a_figure_is_left_out():
    assert verdict.ratio([4, None, 6], [5, 5, None]) == 0.8
    assert verdict.ratio([], []) is None
    assert verdict.median([None]) is None


def test_the_best_peer_is_the_fastest_and_neither_the_limit_nor_perdure():
    line = one_line("10k", "cpu_us", perdure=[4], limit=[1], nginx=[8], h2o=[5])
    assert (line.best_peer, line.to_peer, line.to_limit) == ("h2o", 0.8, 4)
    assert one_line("pipeline", "rate", perdure=[9], nginx=[8], h2o=[5]).best_peer == "nginx"


def test_at_most_is_met_at_the_bound_and_not_above():
    assert one_line("10k", "cpu_us", perdure=[88], h2o=[100]).is_met is True
    assert one_line("10k", "cpu_us", perdure=[89], h2o=[100]).is_met is False
    assert one_line("1k", "cpu_us", perdure=[107], limit=[100], h2o=[500]).is_met is False


def test_at_least_is_met_at_the_bound_and_not_below():
    assert one_line("pipeline", "rate", perdure=[120], h2o=[100]).is_met is True
    assert one_line("pipeline", "rate", perdure=[119], h2o=[100]).is_met is False


def test_what_needs_no_comparison_is_judged_by_itself():
    assert one_line("idle", "idle_bytes", perdure=[300]).is_met is True
    assert one_line("birth", "start_ms", setting=TWO, perdure=[21], nginx=[500]).is_met is False


def test_a_must_counts_only_where_it_is_judged():
    assert one_line("10k", "cpu_us", setting=TWO, perdure=[100], h2o=[1]).must is None


def test_what_could_not_be_measured_is_neither_met_nor_not():
    line = one_line("10k", "cpu_us", perdure=[4])
    assert line.must and line.is_met is None
    assert "not measured" in table.rows([line])


def test_a_servers_trouble_is_told_and_spoils_nobody_elses_figures():
    gone = {"trouble": "it is gone"}
    sick = {"perdure": [{"cpu_us": 4}], "h2o": [gone, gone], "nginx": [{"cpu_us": 5}]}
    assert verdict.troubles(sick) == [("h2o", "it is gone")]
    lines = verdict.lines(PINNED, WORK["10k"], sick)
    assert [(line.figure, line.best_peer) for line in lines] == [("cpu_us", "nginx")]


def test_errors_are_summed_up_and_shown_only_if_there_are_any():
    assert verdict.lines(PINNED, WORK["10k"], found("errors", perdure=[0, 0, 0])) == []
    assert one_line("10k", "errors", perdure=[0, 0, 7]).medians == {"perdure": 7}


def test_every_must_names_a_figure_of_its_own_work_where_it_is_measured():
    for work in works.WORKS:
        assert work.judged_in in work.settings
        assert all(must.figure in works.FIGURES for must in work.musts)
        assert work.has_limit or all(must.against != works.LIMIT for must in work.musts)


def test_each_round_has_everybody_and_another_order():
    names = ["perdure", "limit", "nginx"]
    orders = [rounds.order_of(names, number) for number in range(4)]
    assert all(sorted(order) == sorted(names) for order in orders)
    assert len({tuple(order) for order in orders[:3]}) == 3


def test_the_table_says_what_is_met():
    met = one_line("10k", "cpu_us", perdure=[80], h2o=[100])
    not_met = one_line("100k", "cpu_us", perdure=[1000], h2o=[1000])
    text = table.judged([met, not_met])
    assert "0.800  <= 0.88 of best peer" in text and "NOT MET (h2o)" in text and text.endswith("1 of 2 met")


def made():
    whole = record.new(argparse.Namespace(rounds=2, seconds=1), {"perdure": "1", "h2o": "2"})
    record.add(whole, PINNED, WORK["10k"], found("cpu_us", perdure=[8, 8], h2o=[10, 12]))
    return whole


def test_a_record_that_was_written_is_judged_as_before(tmp_path):
    record.write(tmp_path / "figures.json", made())
    again = record.read(tmp_path / "figures.json")
    assert record.lines(again) == record.lines(made())


def test_the_picture_has_each_servers_time_as_a_multiple_of_ours():
    text = plot.script("figures.svg", record.lines(made()), 'a "caption"')
    assert '"10 KiB" 1.0000 1.3750' in text and 'set title "a \\"caption\\""' in text
