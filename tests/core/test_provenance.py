import hashlib

from howfar.core import provenance


def test_texts_that_are_no_paths_stay():
    values = ["/ 2 copies", "~0.05", "/", "a/b", "..."]
    assert provenance.without_folders(values) == values
    assert (
        provenance.without_folders(["/home/jane/a.fa", "~/a.fa", "~jane/a.fa", "../x/a.fa"])
        == ["a.fa"] * 4
    )


def test_block_records_inputs_by_checksum(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"abc")
    block = provenance.block({"a": 1}, {"reference": path}, seed=7)
    assert block["inputs"]["reference"] == {
        "file": "in.txt",
        "sha256": hashlib.sha256(b"abc").hexdigest(),
    }
    assert block["seed"] == 7 and block["parameters"] == {"a": 1}
    assert block["packages"]["howfar"] and block["created"].endswith("+00:00")


def test_block_names_the_warnings_that_were_met_and_no_others():
    block = provenance.block({}, warnings={"star alleles": 2, "half calls": 0, "REF": 1})
    assert list(block["warnings"].items()) == [("REF", 1), ("star alleles", 2)]
    assert provenance.block({}, warnings={})["warnings"] == {}
    assert "warnings" not in provenance.block({})
