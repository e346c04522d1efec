from pipeline.recipe import reference


def test_the_committed_reference_and_schema_are_those_of_the_code(root):
    assert (root / reference.MARKDOWN).read_text() == reference.markdown(), "run: make docs"
    assert (root / reference.SCHEMA).read_text() == reference.schema(), "run: make docs"


def test_every_field_says_its_type():
    assert "| any |" not in reference.markdown()
