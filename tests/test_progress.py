import io

from howfar.progress import track


def test_progress_counts_earlier_work_and_prints_the_last_line():
    out = io.StringIO()
    assert list(track("abc", 10, "x: genes", done=7, stream=out, every=1e9)) == ["a", "b", "c"]
    assert out.getvalue().startswith("x: genes: 10/10, ")
    assert out.getvalue().count("\n") == 1
