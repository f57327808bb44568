"""What wrk, h2load and the pacer print becomes the same figures, in the same units."""
import load
import measure
import pytest
from works import WORKS

WRK = """Running 1s test @ http://127.9.9.9:8123/1k.bin
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.99ms    5.96ms  33.11ms   84.82%
    Req/Sec    42.09k     3.63k   46.87k    60.00%
  Latency Distribution
     50%  920.00us
     75%    5.91ms
     90%   13.23ms
     99%    1.02s 
  41797 requests in 1.50s, 51.34MB read
"""
WRK_TROUBLE = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n"
WRK_END = "Requests/sec:  41621.48\nTransfer/sec:     51.13MB\n"

H2LOAD = """finished in 500.00ms, 17246.00 req/s, 21.18MB/s
requests: 300 total, 310 started, 300 done, 297 succeeded, 3 failed, 1 errored, 0 timeout
status codes: 297 2xx, 0 3xx, 2 4xx, 0 5xx
traffic: 21.18MB (22212848) total, 3.52MB (3687030) headers (space savings 0.00%), 16.90MB (17725440) data
"""


def test_wrk_is_read_in_whole_units():
    done = load.read_wrk(WRK + WRK_END)
    assert done == load.Load(41797, 1.5, 51.34 * 1024 * 1024, 920, 1_020_000, 0)


def test_a_percentile_that_wrk_does_not_know_is_none():
    """It printed 0.00us as the p99 of a pipeline, and that was the best of all."""
    assert load.read_wrk((WRK + WRK_END).replace("1.02s ", "0.00us")).p99_us is None


def test_every_kind_of_trouble_that_wrk_has_is_counted():
    assert load.read_wrk(WRK + WRK_TROUBLE + WRK_END).errors == 54321


def test_h2load_is_read_with_percentiles_from_its_log():
    log = "".join(f"1795416540046727\t200\t{took}\n" for took in range(100, 0, -1))
    assert load.read_h2load(H2LOAD, log) == load.Load(300, 0.5, 22212848, 50, 99, 3)


def test_the_pacer_is_read():
    said = '{"requests": 5998, "seconds": 0.300083, "p50_us": 184, "p99_us": 13407}\n'
    assert load.read_pacer(said) == load.Load(5998, 0.300083, 0, 184, 13407, 0)


@pytest.mark.parametrize("text, us", [("99.00us", 99), ("1.50ms", 1500), ("2.00s", 2e6), ("1.50m", 90e6), ("1.00h", 3600e6)])
def test_times_have_units(text, us):
    assert load.microseconds(text) == us


@pytest.mark.parametrize("text, size", [("12B", 12), ("1.50KB", 1536), ("2.00GB", 1 << 31), ("1.00TB", 1 << 40)])
def test_sizes_have_units(text, size):
    assert load.bytes_of(text) == size


def test_a_percentile_is_a_value_that_was_measured():
    assert load.percentile([7], 99) == 7
    assert load.percentile([1, 2], 50) == 1
    assert load.percentile(list(range(1, 1001)), 99) == 990


def test_an_answer_of_the_status_that_is_asked_for_is_no_error():
    work = {work.name: work for work in WORKS}
    done = load.Load(1000, 2.0, 4e6, 1, 2, 1003)
    assert measure.figures_of(work["404"], done, 5_000_000)["errors"] == 3
    assert measure.figures_of(work["1k"], done, 5_000_000) == {
        "cpu_us": 5.0, "rate": 500.0, "p50_us": 1, "p99_us": 2, "errors": 1003}


def test_large_answers_count_by_the_megabyte():
    work = {work.name: work for work in WORKS}
    figures = measure.figures_of(work["8m"], load.Load(0, 2.0, 4e6, 1, 2, 0), 8_000_000)
    assert (figures["cpu_us_per_mb"], figures["mb_per_s"]) == (2000.0, 2.0)


def test_connections_are_counted_once_each_and_by_worker():
    before = [frozenset("ab"), frozenset("a")]
    now = [frozenset("abcde"), frozenset("af"), frozenset("af"), frozenset("a")]  # the third shows the second's again
    assert measure.spread(before, now) == [1, 3]
